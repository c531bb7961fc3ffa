"""The simulated beamline: motors, triggers, detector and sample that speak the real protocols.

It shares nothing with ``streaming`` but message types, so that recovering its truth proves something.
"""

"""The second step: one detector frame becomes one powder pattern, with its variance and its trimmed mean.

Receives frames as they come from the decoder, gives a :class:`~streaming.integrate.integrator.Pattern` each. Geometry, mask,
solid angle and polarisation come from pyFAI; the sums are ours. Must not know lines, positions or runs.
"""

"""Corrections: what stands between a line as it was measured and a projection that tomography may believe.

Each module takes one fault off: beam intensity, transmission, air, late gates, a stage that wobbles. What a correction is worth
is found from the data wherever they can say it, with an uncertainty; what they cannot say is left alone and said so.
"""

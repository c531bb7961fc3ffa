"""The same steps on a GPU: kernels in CUDA C, one file each, and what lends them buffers and streams.

Everything here stands on :class:`streaming.gpu.device.Device`; CuPy is imported in :mod:`streaming.gpu.cuda` alone. Each kernel
does what a compiled one of the processor does, to rounding, and is held against the same plain reference.
"""

"""Hand-over: the patterns of voxels in the files that other programs read. Each module is one program's way of saying it."""

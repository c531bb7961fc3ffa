"""Turn frames into maps: receive, integrate, join, reconstruct, lithiation, archive, publish."""

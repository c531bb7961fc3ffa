"""Show maps and the state of the cell: the napari application and plugin."""

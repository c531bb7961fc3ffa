"""The state of the cell: where it comes from, how it becomes process variables, and what it was at a given time."""

"""The simulated cell: what PyBaMM says of its voltage and lithium, and where in the sample that lithium is."""

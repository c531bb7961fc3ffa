"""Make frames happen: devices, plans, safety, cell sources, and the simulated beamline."""

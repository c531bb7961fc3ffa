"""Plans: what the beamline does, computed and checked before anything moves."""

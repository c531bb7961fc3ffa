"""Start the processes of a beamtime, see that they are ready, restart them within bounds, and end them all together."""

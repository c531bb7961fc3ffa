"""Full-profile refinement: from patterns of voxels to scale factors and lattice parameters with their uncertainties."""

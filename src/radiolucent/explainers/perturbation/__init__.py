"""What methods share that perturb the film: composed copies, superpixels, fills."""

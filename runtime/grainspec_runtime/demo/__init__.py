"""The demo world, the diffusion model trained on it, and the judge of its samples."""

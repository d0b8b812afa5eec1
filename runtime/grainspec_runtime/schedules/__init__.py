"""Noise schedules: the share of noise in a latent at each timestep, and their solvers."""

"""Noise schedules: how much of a latent is noise at a timestep, and their solvers."""

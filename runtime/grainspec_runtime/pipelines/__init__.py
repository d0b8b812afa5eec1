"""Pipelines of the user that a plan is applied to: their calls, steps and embeddings."""

"""The memory of a run: estimated before it starts, and explained where it ran out."""

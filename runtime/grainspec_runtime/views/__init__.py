"""Pictures of regions and results."""

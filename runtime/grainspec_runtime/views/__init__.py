"""Images of regions, plans and results."""

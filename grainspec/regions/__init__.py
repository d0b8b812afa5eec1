"""Regions: which pixels of which frames an edit speaks of."""

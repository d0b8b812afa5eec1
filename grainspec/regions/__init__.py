"""Regions: from expressions and mask files to the pixels of every frame."""

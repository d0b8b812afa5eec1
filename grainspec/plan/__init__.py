"""Compile regions and words to a mask plan."""

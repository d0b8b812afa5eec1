"""Decode clips to frames, and encode frames as video."""

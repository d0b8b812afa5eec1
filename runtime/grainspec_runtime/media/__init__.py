"""Frames in and out: decoding clips, encoding videos."""

"""Mask files that are drawn and read back."""

"""Attention modulation: the attention of a denoiser's layers under a mask plan."""

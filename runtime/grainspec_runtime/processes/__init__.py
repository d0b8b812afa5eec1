"""Editing processes: they turn latents of the source clip into latents of the edit."""

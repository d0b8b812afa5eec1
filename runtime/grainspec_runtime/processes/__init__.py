"""Editing processes: how latents of the source clip become latents of the edited one."""

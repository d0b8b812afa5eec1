"""An edit, from a clip that was read to its result."""

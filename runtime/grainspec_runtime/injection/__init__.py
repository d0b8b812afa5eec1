"""Features of the source clip, put into the edit (Plug-and-Play)."""

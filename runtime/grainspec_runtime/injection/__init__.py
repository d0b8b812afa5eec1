"""Inject features of the source clip into the edit (Plug-and-Play)."""

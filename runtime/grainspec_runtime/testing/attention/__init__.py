"""Checks of an attention backend against the operator's definition."""

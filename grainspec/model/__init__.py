"""The edit spec as immutable Pydantic models."""

"""The language's definition, as package data."""

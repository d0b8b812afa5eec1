"""Text to spec and back."""

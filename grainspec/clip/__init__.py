"""The source clip: its facts, read without decoding it, and how its frames are cropped."""

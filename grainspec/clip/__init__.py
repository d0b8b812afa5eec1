"""The source clip: its facts, found without decoding it, and its geometry."""

"""Model files: finding and fetching them, and how a model is to be loaded."""

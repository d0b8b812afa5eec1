"""Models: finding, describing and loading them, and installing plans in them."""

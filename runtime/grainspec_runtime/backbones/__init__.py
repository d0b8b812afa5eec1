"""Find, describe and load models, and install plans in them."""

"""The engines, one module each; the registry names them."""

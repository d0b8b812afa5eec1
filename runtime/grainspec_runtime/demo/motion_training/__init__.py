"""Train the demo's motion adapter: temporal layers for the frozen image model."""

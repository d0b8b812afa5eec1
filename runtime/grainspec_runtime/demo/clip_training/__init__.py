"""Train the demo world's CLIP, which the benchmark's CLIP measures use."""

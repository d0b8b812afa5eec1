"""A mask plan inside a denoiser: how its attention layers attend while the plan acts."""

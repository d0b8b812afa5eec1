"""What image UNets of Stable Diffusion and those with motion modules (AnimateDiff) share."""

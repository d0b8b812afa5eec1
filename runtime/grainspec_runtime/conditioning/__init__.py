"""ControlNets, and their control images: edges, depth and poses of the source clip."""

"""What holds an edit to the source clip: pictures of edges, depth and poses, and ControlNets."""

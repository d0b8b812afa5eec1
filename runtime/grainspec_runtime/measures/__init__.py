"""Quality metrics of an edit, one pure function each.

Clips are uint8 ``[F, H, W, 3]`` RGB. CLIP-F, CLIP-T, Warp-Err and Q-edit are the metrics of the
VideoGrain paper.
"""

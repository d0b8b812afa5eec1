"""How good an edit is, in numbers: one pure function a measure.

All take clips as uint8 ``[F, H, W, 3]`` RGB; the measures of the VideoGrain paper are CLIP-F,
CLIP-T, Warp-Err and Q-edit.
"""

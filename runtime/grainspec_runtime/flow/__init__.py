"""Optical flow of a clip: how its pixels move, where that can be trusted, and along which paths.

Flow is in pixels, across then down, as in OpenCV and torchvision. ``forward[f]`` tells where the
pixels of frame f are on frame f + 1, ``backward[f]`` where those of frame f + 1 were on frame f.
Nothing here loads OpenCV, torch or torchvision before it is needed.
"""

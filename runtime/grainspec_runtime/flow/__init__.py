"""Optical flow of a clip: its estimation, its occlusions, and the motion paths of latent tokens.

Flow is in pixels, x then y, as in OpenCV and torchvision. ``forward[f]`` maps the pixels of frame f
to frame f + 1, and ``backward[f]`` maps those of frame f + 1 to frame f. OpenCV, torch and
torchvision are imported only when they are used.
"""

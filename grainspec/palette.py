"""The colours of regions in all pictures."""

from __future__ import annotations

PALETTE = (
    (230, 60, 60),
    (60, 110, 240),
    (250, 190, 40),
    (150, 80, 210),
    (30, 170, 120),
    (240, 120, 190),
    (120, 200, 40),
    (40, 190, 220),
)
"""Colours of the first eight regions; later regions repeat them."""

NO_REGION = (205, 205, 205)
"""Colour outside all regions."""

"""The colours of regions, the same in every picture."""

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
"""In order; they repeat from the ninth on."""

NO_REGION = (205, 205, 205)
"""Where no region is."""

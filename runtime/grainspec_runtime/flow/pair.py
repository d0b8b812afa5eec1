"""The type of an optical flow estimator, which every method in this folder returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Pair = Callable[[Any, Any], Any]
"""Takes two frames, uint8 ``[H, W, 3]``; returns the flow from first to second, ``[H, W, 2]``."""

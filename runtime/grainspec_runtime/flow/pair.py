"""An estimator of optical flow: what every method of this folder is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Pair = Callable[[Any, Any], Any]
"""Takes two frames, uint8 ``[H, W, 3]``; gives the flow from one to the other, ``[H, W, 2]``."""

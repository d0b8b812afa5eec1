"""The default tracker: colours, place and optical flow; no weights."""

from __future__ import annotations

from importlib.util import find_spec

from grainspec.diagnostics import fail
from grainspec_runtime.tracking.engine import EngineRow, Tracker

_CURE = "Install it with: pip install opencv-python-headless"


def _why_not() -> str:
    return "" if find_spec("cv2") else f"it requires OpenCV, which is not installed. {_CURE}"


def _load(checkpoint: str, device: str | None) -> Tracker:
    """Return the engine; raises GrainError (G501) without OpenCV, (G530) for weights."""
    if checkpoint:
        raise fail(
            "G530",
            f"the tracker `colour` has no weights, but `{checkpoint}` is given",
            "Remove `weights`, or name a tracker that has weights: tracker sam2",
        )
    if _why_not():
        raise fail("G501", "the tracker `colour` requires OpenCV, which is not installed", _CURE)
    from grainspec_runtime.tracking.engines.colour.tracker import ColourTracker

    return ColourTracker()


def _version() -> str:
    from grainspec_runtime.tracking.engines.colour.tracker import VERSION

    return VERSION


TRACKER: EngineRow[Tracker] = EngineRow("colour", "", "", _why_not, _load, _version)

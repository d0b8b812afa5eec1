"""Test a region source on drawn clips, or on a clip of your own."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from grainspec.regions.layout import Mask
from grainspec.testing.drawn_clips import DrawnClip, drawn_clip
from grainspec.testing.sources.calls import Calls, Frames, RegionSource
from grainspec.testing.sources.properties import CHECKS, Trial, true_masks, visible
from grainspec.testing.sources.recipes import Recipe, recipe


def check_region_source(
    source: RegionSource,
    frames: Frames | DrawnClip | None = None,
    *,
    properties: str | Collection[str] = "exact",
    truth: Mask | None = None,
    others: Mapping[str, Mask] | None = None,
    agreement: float | None = None,
    finds: str = "red",
) -> None:
    """Test a source of masks; raise :class:`grainspec.testing.Broken` if a test fails.

    ``source`` takes a clip, uint8 RGB ``[F, H, W, 3]``, and returns masks, bool ``[F, H, W]``. If
    it has two required parameters, it is given the object's true mask on the first frame as well,
    as trackers need it.

    Without ``frames``, it is tested on drawn clips of a red, a green and a blue object on grey, in
    which it has to find the object that ``finds`` names: the clips and the true masks come from
    :func:`grainspec.testing.drawn_clip`. ``frames`` is a clip of your own, or a drawn one;
    ``truth`` are its true masks, and ``others`` those of other objects by name, which a failure may
    mention.

    ``properties`` is a recipe, or the names of properties:

    - ``"exact"``: each pixel is decided by itself, such as by a colour threshold.
    - ``"network"``: looks at the whole picture.
    - ``"tracker"``: follows an object from the first frame on.

    ``agreement`` is the least intersection over union on each frame: 1 (the same pixels) by
    default, and 0.8 for networks and trackers. Even then, masks fail that are, on the whole,
    shifted, too large, or those of another frame. Where less than half of the object is visible,
    errors count as if it were half.

    The properties are:

    - ``repeat``: a second call returns the same masks; ``calls``: also after another clip.
    - ``region``: the masks are not all empty, and not all full.
    - ``truth``: the masks are the true ones. The failure names the usual causes: masks of another
      frame or object, shifted, mirrored, too large, …
    - ``frame``: the mask of a frame does not depend on other frames.
    - ``mirror``, ``flip``, ``transpose``, ``reversal``: a clip that is mirrored, upside down, has
      its x and y swapped, or runs backwards has masks that are changed in the same way.
    - ``start``: a clip that begins later has the same masks. For trackers.
    - ``crop``: a part of the clip, cut through the object, has the same part of the masks.
    - ``size``, ``length``: a row and a column less, a single frame, or more frames change nothing;
      the drawn clip has 40 frames.
    - ``border``: an object that touches the frame's edge has a mask there.
    - ``shape``, ``small``: on drawn clips, an object with a hole and in two pieces, and one that
      gets smaller than 20 pixels, have their true masks.
    - ``occlusion``, ``absence``: on drawn clips, the object is found again after another one hid
      it; while it is outside the frame, its masks are empty.

    >>> import numpy as np
    >>> def red(frames):
    ...     return (frames[..., 0] > 150) & (frames[..., 1] < 90)
    >>> check_region_source(red)
    >>> check_region_source(lambda frames: np.roll(red(frames), 1, axis=0))
    Traceback (most recent call last):
    grainspec.testing.broken.Broken: truth: the masks are not the true ones: the masks are those \
of one frame earlier (frame 0, pixel 15,35)
    >>> def track(frames, first):  # follows the colour of the object on the first frame
    ...     colour = np.median(frames[0][first], axis=0)
    ...     return np.abs(frames - colour).max(axis=-1) < 40
    >>> check_region_source(track, properties="tracker")
    """
    chosen = recipe(properties, agreement)
    calls = Calls(source)
    if frames is None:
        if truth is not None:
            raise ValueError("`truth` are the masks of `frames`, which are missing")
        return _check_drawn(calls, chosen, finds)
    if isinstance(frames, DrawnClip):
        truth, others, frames = frames.truth, frames.others, frames.frames
    _require_arrays(frames, truth)
    if truth is not None and truth.shape != frames.shape[:3]:
        raise ValueError(f"`truth` is {truth.shape}, and the frames are {frames.shape[:3]}")
    _check(Trial(calls, frames, chosen.agreement, truth, others or {}), chosen)
    return None


def _require_arrays(frames: object, truth: object) -> None:
    """Raise ValueError for a clip or true masks of another type."""
    if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8 or frames.shape[3:] != (3,):
        kind = f"{frames.dtype} {frames.shape}" if isinstance(frames, np.ndarray) else type(frames)
        raise ValueError(f"`frames` is {kind}; expected RGB, uint8 [F, H, W, 3]")
    if truth is not None and (not isinstance(truth, np.ndarray) or truth.dtype != np.bool_):
        kind = truth.dtype if isinstance(truth, np.ndarray) else type(truth).__name__
        raise ValueError(f"`truth` is {kind}; expected bool [F, H, W], such as `truth > 0`")


def _check_drawn(calls: Calls, chosen: Recipe, finds: str) -> None:
    def trial(seed: int, second: DrawnClip | None = None, **options: object) -> Trial:
        clip = drawn_clip(seed, subject=finds, **options)  # type: ignore[arg-type]
        between = None if second is None else (second.frames, second.truth)
        return Trial(calls, clip.frames, chosen.agreement, clip.truth, clip.others, between)

    _check(trial(0, drawn_clip(1, subject=finds)), chosen)
    high = (64, 96)
    if "occlusion" in chosen.properties:
        hidden = trial(2, size=high, events=["hidden"])
        true_masks("occlusion", hidden, hidden.masks())
    if "absence" in chosen.properties:
        events = ["leaves", "late"] if chosen.late and not calls.takes_first else ["leaves"]
        absent = trial(3, size=high, events=events)
        true_masks("absence", absent, absent.masks())
    larger = {"shape": ((144, 108), ["hollow", "divided"]), "small": ((80, 56), ["shrinks"])}
    for name, (size, events) in larger.items():
        if name in chosen.properties:
            shaped = trial(4, size=size, events=events)
            visible(name, shaped, shaped.masks())
    if "length" in chosen.properties:
        long = trial(5, frames=40)
        true_masks("length", long, long.masks())


def _check(trial: Trial, chosen: Recipe) -> None:
    masks = trial.masks()
    for name, check in CHECKS.items():
        if name in chosen.properties:
            check(trial, masks)

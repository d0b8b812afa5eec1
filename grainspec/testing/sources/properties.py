"""The properties of a region source, each a function of the trial of one clip."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from grainspec.regions.layout import Mask
from grainspec.testing.broken import Broken
from grainspec.testing.causes import cause
from grainspec.testing.sources.calls import Calls, Frames, NeedsTruth

_SAME = 0.98
"""The least agreement of two calls with the same clip, where masks need not be exact."""
_LARGE = 0.5
"""Where a mask has less than this share of the object's largest area, errors count as if it had:
what another object leaves visible is mostly edge."""
_GAIN = 0.02
"""By so much a fault must raise the agreement with the true masks to be reported."""


@dataclass(frozen=True)
class Trial:
    """A source's masks of a clip, and what is known about them.

    ``truth`` are the true masks and ``others`` those of other objects, if they are known.
    ``second`` is a clip of the same size that is read in between, with its true masks.
    """

    calls: Calls
    frames: Frames
    agreement: float
    truth: Mask | None = None
    others: Mapping[str, Mask] = field(default_factory=dict)
    second: tuple[Frames, Mask | None] | None = None

    @property
    def first(self) -> Mask | None:
        """The true mask of the first frame."""
        return None if self.truth is None else self.truth[0]

    def masks(self) -> Mask:
        """What the source returns for the clip; raise Broken if it raises an error."""
        try:
            return self.calls(self.frames, self.first)
        except (Broken, NeedsTruth):
            raise
        except Exception as error:
            message = f"the source raised {type(error).__name__} for {_clip(self.frames)}: {error}"
            raise Broken("calls", message) from error


Change = Callable[[npt.NDArray[np.generic]], npt.NDArray[np.generic]]
"""A change of a clip ``[F, H, W, …]`` that changes its masks ``[F, H, W]`` in the same way."""


def compare(
    name: str,
    message: str,
    expected: Mask,
    actual: Mask,
    *,
    trial: Trial,
    others: Mapping[str, Mask] | None = None,
    agreement: float | None = None,
    first: int = 0,
) -> None:
    """Raise Broken, with the cause if it is known, where masks do not agree with the expected."""
    least = trial.agreement if agreement is None else agreement
    scores = agreements(expected, actual)
    wrong = np.flatnonzero(scores < least)
    if not len(wrong):
        return
    frame = int(wrong[0])
    row, column = np.argwhere(expected[frame] != actual[frame])[0]
    where: dict[str, object] = {"frame": frame + first, "pixel": f"{column},{row}"}
    if least < 1:
        where = {"frame": frame + first, "agreement": f"{scores[frame]:.2f}", "least": least}
    found = cause(expected, actual, others or {}, trial.calls.stale(), wrong.tolist())
    raise Broken(name, f"{message}{f': {found[0]}' if found else ''}", **where)


def agreements(expected: Mask, actual: Mask) -> npt.NDArray[np.float64]:
    """Intersection over union on each frame; small masks count as half the largest one.

    >>> whole = np.ones((1, 2, 4), bool)
    >>> half = np.array([[[1, 1, 0, 0]] * 2], bool)
    >>> agreements(whole, half), agreements(~whole, ~whole)
    (array([0.5]), array([1.]))
    """
    union = (expected | actual).sum(axis=(1, 2))
    differing = (expected ^ actual).sum(axis=(1, 2))
    largest = expected.sum(axis=(1, 2)).max()
    return np.asarray(1 - differing / np.maximum(np.maximum(union, _LARGE * largest), 1))


def _repeat(trial: Trial, masks: Mask) -> None:
    message = "a second call returned another mask"
    same = max(_SAME, trial.agreement)
    compare("repeat", message, masks, trial.masks(), trial=trial, agreement=same)


def _region(trial: Trial, masks: Mask) -> None:
    if (trial.truth is None or trial.truth.any()) and not masks.any():
        raise Broken("region", "the mask is empty on every frame")
    if (trial.truth is None or not trial.truth.all()) and masks.all():
        raise Broken("region", "the mask is full on every frame")


def true_masks(name: str, trial: Trial, masks: Mask) -> None:
    """Compare masks with the true ones, and refuse faults that explain most of the differences."""
    if trial.truth is None:
        return
    message = "the masks are not the true ones"
    compare(name, message, trial.truth, masks, trial=trial, others=trial.others)
    found = cause(trial.truth, masks, trial.others, trial.calls.stale())
    if found is None:
        return
    words, changed = found
    before = agreements(trial.truth, masks).mean()
    after = agreements(changed, masks).mean()
    if after - before >= _GAIN:
        fits = f"{message}: {words}, which fits better than the true ones"
        raise Broken(name, fits, agreement=f"{before:.2f}", explained=f"{after:.2f}")


def _truth(trial: Trial, masks: Mask) -> None:
    true_masks("truth", trial, masks)


def _frame(trial: Trial, masks: Mask) -> None:
    for number in range(len(trial.frames)):
        here = slice(number, number + 1)
        first = None if trial.truth is None else trial.truth[number]
        alone = _called("frame", trial, trial.frames[here], first)
        message = "the mask of the frame alone differs from its mask within the clip"
        compare("frame", message, masks[here], alone, trial=trial, first=number)


def _changed(name: str, message: str, trial: Trial, masks: Mask, change: Change) -> None:
    """Change the clip, and require the masks to change in the same way."""
    expected = change(masks if trial.truth is None else trial.truth).astype(np.bool_)
    first = None if trial.truth is None else expected[0]
    actual = _called(name, trial, np.asarray(change(trial.frames), np.uint8), first)
    others = {other: change(mask).astype(np.bool_) for other, mask in trial.others.items()}
    compare(name, message, expected, actual, trial=trial, others=others)


def _called(name: str, trial: Trial, frames: Frames, first: Mask | None) -> Mask:
    """What the source returns for another clip; raise Broken if it raises an error."""
    try:
        return trial.calls(frames, first)
    except Broken:
        raise
    except Exception as error:
        said = f"the source raised {type(error).__name__} for {_clip(frames)}, and none for "
        raise Broken(name, f"{said}{_clip(trial.frames)}: {error}") from error


def _clip(frames: Frames) -> str:
    count, height, width = frames.shape[:3]
    return f"{count} frame{'s' * (count > 1)} of {width}x{height}"


def _mirror(trial: Trial, masks: Mask) -> None:
    message = "the mask of a mirrored frame is not the mirrored mask"
    _changed("mirror", message, trial, masks, lambda clip: clip[:, :, ::-1])


def _flip(trial: Trial, masks: Mask) -> None:
    message = "the mask of an upside-down frame is not the upside-down mask"
    _changed("flip", message, trial, masks, lambda clip: clip[:, ::-1])


def _transpose(trial: Trial, masks: Mask) -> None:
    message = "a clip whose x and y are swapped does not have masks whose x and y are swapped"
    _changed("transpose", message, trial, masks, lambda clip: clip.swapaxes(1, 2))


def _reversal(trial: Trial, masks: Mask) -> None:
    if trial.calls.takes_first and (trial.truth is None or not trial.truth[-1].any()):
        return  # the object is not on the first frame, so it cannot be followed
    message = "a clip in reverse does not have its masks in reverse"
    _changed("reversal", message, trial, masks, lambda clip: clip[::-1])


def _start(trial: Trial, masks: Mask) -> None:
    if trial.truth is None:
        return
    there = np.flatnonzero(trial.truth.any(axis=(1, 2)))
    begin = next((int(frame) for frame in there if frame > 0), None)
    if begin is not None:
        message = f"a clip that begins at frame {begin} has other masks"
        _changed("start", message, trial, masks, lambda clip: clip[begin:])


def _crop(trial: Trial, masks: Mask) -> None:
    """Cut the clip through the object, so that it touches the edges of both parts."""
    known = masks if trial.truth is None else trial.truth
    largest = known[known.sum(axis=(1, 2)).argmax()]
    if not largest.any():
        return
    row, column = (int(np.median(places)) for places in np.nonzero(largest))
    parts: dict[str, Change] = {
        "left": lambda clip: clip[:, :, :column],
        "right": lambda clip: clip[:, :, column:],
        "upper": lambda clip: clip[:, :row],
        "lower": lambda clip: clip[:, row:],
    }
    for name, part in parts.items():
        if part(trial.frames).size:
            message = f"the mask of the {name} part is not the {name} part of the mask"
            _changed("crop", message, trial, masks, part)


_ALL = slice(None)
_AT_THE_BORDER = 0.5
"""The least share of an object's pixels on the outermost line of the frame that masks must have."""


def _border(trial: Trial, masks: Mask) -> None:
    """Cut the clip through the object: the outermost pixels of the mask are at the frame's edge."""
    if trial.truth is None:
        return
    largest = trial.truth[trial.truth.sum(axis=(1, 2)).argmax()]
    if not largest.any():
        return
    row, column = (int(np.median(places)) for places in np.nonzero(largest))
    for more in (0, 1):  # sides of both parities
        x, y = column + more, row + more
        parts: dict[str, tuple[tuple[slice, ...], tuple[int | slice, ...]]] = {
            "rightmost column": ((_ALL, _ALL, slice(x)), (_ALL, _ALL, -1)),
            "leftmost column": ((_ALL, _ALL, slice(x, None)), (_ALL, _ALL, 0)),
            "lowest row": ((_ALL, slice(y)), (_ALL, -1)),
            "uppermost row": ((_ALL, slice(y, None)), (_ALL, 0)),
        }
        for line, (part, edge) in parts.items():
            if not trial.truth[part].size:  # the object is on the frame's outermost line
                continue
            begin = int(trial.truth[part][edge].sum(axis=1).argmax())
            frames = trial.frames[part][begin : begin + 2]  # a tracker is told the first mask
            truth = trial.truth[part][begin : begin + 2]
            actual = _called("border", trial, frames, truth[0])
            wanted, there = truth[edge].sum(), (truth[edge] & actual[edge]).sum()
            if there < _AT_THE_BORDER * wanted:
                height, width = truth.shape[1:]
                message = f"the {line} of the masks has {there} of the {wanted} pixels of an object"
                raise Broken("border", f"{message} that touches it", size=f"{width}x{height}")


def visible(name: str, trial: Trial, masks: Mask) -> None:
    """Require a mask on every frame where the object is seen."""
    assert trial.truth is not None
    for frame, (truth, mask) in enumerate(zip(trial.truth, masks, strict=True)):
        if truth.any() and not (mask & truth).any():
            message = f"the mask has no pixel of the object, which has {truth.sum()}"
            raise Broken(name, message, frame=frame)
    true_masks(name, trial, masks)


def _size(trial: Trial, masks: Mask) -> None:
    """A row and a column less: what was even is odd, and the other way round."""
    height, width = trial.frames.shape[1:3]
    if min(height, width) < 2:
        return
    message = f"frames of {width - 1}x{height - 1}, a column and a row less, have other masks"
    _changed("size", message, trial, masks, lambda clip: clip[:, :-1, :-1])


def _length(trial: Trial, masks: Mask) -> None:
    """Another number of frames: the first frame alone, and the clip forth and back."""
    shown = trial.truth is None or trial.truth[0].any()
    if shown and not (trial.calls.takes_first and trial.truth is None):
        alone = "a clip of the first frame alone has another mask"
        _changed("length", alone, trial, masks, lambda clip: clip[:1])
    if len(trial.frames) > 1:
        message = "the clip forth and back does not have its masks forth and back"
        _changed("length", message, trial, masks, lambda clip: np.concatenate([clip, clip[-2::-1]]))


def _calls(trial: Trial, masks: Mask) -> None:
    if trial.second is not None:
        frames, truth = trial.second
    else:
        turned = trial.frames[::-1, ::-1, ::-1]
        frames, truth = turned, None if trial.truth is None else trial.truth[::-1, ::-1, ::-1]
    if not trial.calls.takes_first or (truth is not None and truth[0].any()):
        actual = _called("calls", trial, frames, None if truth is None else truth[0])
        if truth is not None:
            compare("calls", "a second clip has wrong masks", truth, actual, trial=trial)
    same = max(_SAME, trial.agreement)
    message = "after another clip, the source returned another mask"
    compare("calls", message, masks, trial.masks(), trial=trial, agreement=same)


CHECKS: Mapping[str, Callable[[Trial, Mask], None]] = {
    "repeat": _repeat,
    "region": _region,
    "truth": _truth,
    "frame": _frame,
    "mirror": _mirror,
    "flip": _flip,
    "transpose": _transpose,
    "reversal": _reversal,
    "start": _start,
    "size": _size,
    "length": _length,
    "crop": _crop,
    "border": _border,
    "calls": _calls,
}
"""The properties of a clip, in the order of testing."""

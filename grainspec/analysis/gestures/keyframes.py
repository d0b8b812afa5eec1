"""Shapes that are moved or redrawn in the picture, and their keyframes."""

from __future__ import annotations

from collections.abc import Sequence

from grainspec.analysis.edits import TextEdit
from grainspec.analysis.gestures.lengths import Extent, Share, length_edits, lengths, unit_of
from grainspec.analysis.gestures.taken_out import removed_row
from grainspec.analysis.gestures.written_shapes import Key, WrittenShape
from grainspec.diagnostics import fail


def call_text(
    kind: str, shares: Sequence[Share], units: Sequence[str], extent: Extent | None
) -> str:
    """A call that draws a shape.

    >>> call_text("polygon", [0.1, 0.1, 0.5, 0.1, 0.3, 0.4], ["%"] * 6, None)
    'polygon(10% 10%, 50% 10%, 30% 40%)'
    """
    texts = lengths(shares, units, extent)
    if kind == "polygon":
        texts = [" ".join(pair) for pair in zip(texts[::2], texts[1::2], strict=True)]
    return f"{kind}({', '.join(texts)})"


def placed(
    drawing: WrittenShape,
    frame: int,
    shares: Sequence[Share],
    extent: Extent | None,
    *,
    start: int | None = None,
) -> list[TextEdit]:
    """The edits that put a shape at a place on a frame.

    Only the numbers that change are written. A shape with keyframes gets one here if none stands
    here. One without them moves as a whole; or, with ``start``, begins to move, and what it was is
    its keyframe at frame ``start``.
    """
    starts = start is not None and start != frame and not drawing.moves
    if starts:
        first = drawing.key
        if len(first.numbers) != len(shares):
            _require_alone(drawing, len(shares), adding=True)
        before = [TextEdit(first.end, first.end, f" @ {start}")]
        new = f"{_beside(drawing, first, shares, extent)} @ {frame}"
        if frame < (start or 0):
            return [TextEdit(first.start, first.start, f"{new}, "), *before]
        return [TextEdit(first.end, first.end, f" @ {start}, {new}")]
    key = drawing.at(frame)
    if key is None:
        return [_keyframe(drawing, frame, shares, extent)]
    if len(key.numbers) == len(shares):
        return length_edits(key.numbers, shares, extent)
    _require_alone(drawing, len(shares))
    text = _beside(drawing, key, shares, extent)
    return [TextEdit(key.call.meta.start_pos, key.call.meta.end_pos, text)]


def _keyframe(
    drawing: WrittenShape, frame: int, shares: Sequence[Share], extent: Extent | None
) -> TextEdit:
    """The edit that adds a keyframe, in the order of the frames."""
    earlier = [key for key in drawing.keys if (key.frame or 0) < frame]
    beside = earlier[-1] if earlier else drawing.key
    if len(beside.numbers) != len(shares):
        _require_alone(drawing, len(shares), adding=True)
    new = f"{_beside(drawing, beside, shares, extent)} @ {frame}"
    if earlier:
        return TextEdit(beside.end, beside.end, f", {new}")
    return TextEdit(beside.start, beside.start, f"{new}, ")


def _beside(drawing: WrittenShape, key: Key, shares: Sequence[Share], extent: Extent | None) -> str:
    """The call of a shape in the units of another of its keyframes."""
    units = [unit_of(token) for token in key.numbers]
    if len(units) != len(shares):
        units = [*units[:2]] * (len(shares) // 2)
    return call_text(drawing.kind, shares, units, extent)


def _require_alone(drawing: WrittenShape, count: int, *, adding: bool = False) -> None:
    """Raise GrainError (G711) for an outline that cannot be a keyframe beside the others."""
    if len(drawing.keys) > 1 or adding:
        points = len(drawing.key.numbers) // 2
        message = (
            f"the keyframes of this polygon have {points} points, and this outline {count // 2}"
        )
        cure = "Move its corners instead: all keyframes of a polygon have the same points."
        raise fail("G711", message, cure)


def without_keyframe(text: str, drawing: WrittenShape, frame: int) -> list[TextEdit]:
    """The edits that remove a keyframe of several; raises GrainError (G711) if none stands here."""
    for index, key in enumerate(drawing.keys):
        if key.frame == frame:
            return removed_row(text, [(one.start, one.end) for one in drawing.keys], index)
    frames = ", ".join(str(key.frame) for key in drawing.keys)
    message = f"no keyframe of this {drawing.kind} stands on frame {frame}"
    raise fail("G711", message, f"Its keyframes are on frames {frames}.")

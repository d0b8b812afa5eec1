"""What a gesture in the picture writes into the text of a spec.

A click is a `point(…)` of `track(…)`, a drag a `box(…)`, a lasso a `polygon(…)`, a painted mask
`masks("…")`. The edits change what the gesture is about and nothing else: no other number, comment
or line break. The text after them can be read, and is without an error that it had not before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grainspec.analysis.binding import bound, kept
from grainspec.analysis.drawing import box_sides, drawn_in, drawn_region, inside_frame
from grainspec.analysis.drawn import Drawing, drawings
from grainspec.analysis.edits import TextEdit, applied
from grainspec.analysis.gesture import Gesture, read_gesture
from grainspec.analysis.keyframes import placed
from grainspec.analysis.lengths import Extent
from grainspec.analysis.region_names import (
    existing_region,
    fresh_name,
    region_of,
    renamed,
    unreadable_region,
    valid_name,
)
from grainspec.analysis.removing import removed_region, removed_shape
from grainspec.analysis.shapes import HasText, range_at
from grainspec.analysis.written import Written, WrittenRegion
from grainspec.diagnostics import Diagnostic, GrainError, fail
from grainspec.text.parse import parse_all

__all__ = ["Gesture", "GestureResult", "gesture_edits"]

_DRAWS = frozenset({"point", "not_point", "box", "ellipse", "polygon", "mask"})
_UNFINISHED = frozenset({"G108"})
"""Errors that `delete` and `keep` may leave: a spec without an edit is only unfinished."""


@dataclass(frozen=True, slots=True)
class GestureResult:
    """The edits that a gesture stands for, and the region that it is about.

    Offsets of ``edits`` count code points of the text before them, those of ``select`` of the text
    after them: what an editor selects then, such as the name of a new region.
    """

    edits: list[TextEdit]
    region: str
    select: tuple[int, int] | None = None


@dataclass(frozen=True)
class _Task:
    """A gesture on a text, which begins after its byte order mark."""

    written: Written
    gesture: Gesture
    extent: Extent | None

    @property
    def name(self) -> str:
        """The region that the gesture is about."""
        assert self.gesture.region is not None
        return self.gesture.region

    @property
    def region(self) -> WrittenRegion:
        """That region; raises GrainError if it is not defined, or cannot be read."""
        return existing_region(self.written, self.name)

    def shapes(self) -> list[Drawing]:
        """Its shapes; raises GrainError (G712) if they cannot be read."""
        region = self.region
        try:
            return drawings(region)
        except GrainError as error:
            raise unreadable_region(self.name, region.statement.span.line, error) from error


def gesture_edits(
    document: HasText, gesture: Gesture | Mapping[str, Any], extent: Extent | None = None
) -> GestureResult:
    """The edits of a spec's text that a gesture stands for.

    ``extent`` has the clip's size and number of frames, as :func:`grainspec.clip.facts.probe` reads
    them; without it, lengths in pixels are refused. Raises GrainError: G710 for a gesture that
    cannot be read, G711 for one that does not fit its region, G712 for a region that cannot be
    read, G713 for one in use, G714 for words that are not in the prompt, G715 for pixels of an
    unknown frame, G303 for a frame past the end; and what would be an error in the text after it.

    >>> from types import SimpleNamespace
    >>> text = 'grain 1\\nvideo "c"\\nregion left = track(point(30%, 55%) @ 0)\\n'
    >>> click = {"kind": "not_point", "frame": 0, "region": "left", "points": [[0.8, 0.8]]}
    >>> gesture_edits(SimpleNamespace(text=text), click).edits
    [TextEdit(start=53, end=53, text=', not point(80%, 80%)')]
    """
    asked = read_gesture(gesture)
    _require_frame(asked, extent)
    text = document.text
    mark = text.startswith("\ufeff")
    task = _Task(Written(text[mark:]), asked, extent)
    name, edits = _DOORS[asked.kind](task)
    ends = "\r\n" if "\r\n" in text else "\n"
    edits = [edit._replace(text=edit.text.replace("\n", ends)) for edit in edits]
    after = _checked(task, edits)
    select = _selected(after, name, asked)
    moved = [edit._replace(start=edit.start + mark, end=edit.end + mark) for edit in edits]
    return GestureResult(moved, name, select and (select[0] + mark, select[1] + mark))


def _require_frame(gesture: Gesture, extent: Extent | None) -> None:
    if extent and gesture.frame >= extent.frames:
        message = f"frame {gesture.frame} is past the end of the clip"
        raise fail("G303", message, f"It has {extent.frames} frames, counted from 0.")


# --- one function for each kind of gesture -------------------------------------------------------

_Edited = tuple[str, Sequence[TextEdit]]
"""The name of a region, and the edits."""


def _draw(task: _Task) -> _Edited:
    written, gesture = task.written, task.gesture
    name = gesture.region
    if name is None or region_of(written, name) is None:
        name = valid_name(name) if name is not None else fresh_name(written)
        return name, drawn_region(written, name, gesture, task.extent)
    shapes = task.shapes()
    if gesture.shape is not None:
        _shape(task, shapes)
    return name, drawn_in(written, task.region, shapes, gesture, task.extent)


def _move(task: _Task) -> _Edited:
    gesture, drawing = task.gesture, _shape(task, task.shapes())
    if drawing.shape is None or len(gesture.points) * 2 != len(drawing.key.numbers):
        message = f"this {drawing.kind} has {len(drawing.key.numbers) // 2} points, "
        message += f"and the gesture {len(gesture.points)}"
        raise fail("G710", message, "Send all points of the shape, moved or not.")
    shares: Sequence[float] = gesture.shares
    if drawing.kind == "point":
        shares = inside_frame(shares, task.extent)
    elif drawing.kind != "polygon":
        shares = box_sides(shares)
    start = (task.written.first_frame or 0) if gesture.keyframe and drawing.track is None else None
    return task.name, placed(drawing, gesture.frame, shares, task.extent, start=start)


def _delete(task: _Task) -> _Edited:
    gesture = task.gesture
    if gesture.shape is None:
        return task.name, removed_region(task.written, task.region, cascade=gesture.cascade)
    drawing = _shape(task, task.shapes())
    edits = removed_shape(
        task.written, task.region, drawing, gesture.frame, cascade=gesture.cascade
    )
    return task.name, edits


def _bind(task: _Task) -> _Edited:
    assert task.gesture.words is not None
    existing_region(task.written, task.name)
    return task.name, bound(task.written, task.name, task.gesture.words)


def _keep(task: _Task) -> _Edited:
    existing_region(task.written, task.name)
    return task.name, kept(task.written, task.name)


def _rename(task: _Task) -> _Edited:
    new = valid_name(task.gesture.name or "")
    return new, renamed(task.written, task.name, new)


_DOORS: dict[str, Callable[[_Task], _Edited]] = {
    **dict.fromkeys(_DRAWS, _draw),
    "move": _move,
    "delete": _delete,
    "bind": _bind,
    "keep": _keep,
    "rename": _rename,
}


def _shape(task: _Task, shapes: Sequence[Drawing]) -> Drawing:
    """The shape that a gesture is about: the one it names, or the only one."""
    index = task.gesture.shape
    if index is None and len(shapes) == 1:
        return shapes[0]
    if index is None:
        message = f"region `{task.name}` has {len(shapes)} shapes: which one is meant?"
        raise fail("G711", message, "Select one of them first.")
    if index >= len(shapes):
        message = f"region `{task.name}` has no shape number {index}: it has {len(shapes)}"
        raise fail("G711", message, "Ask for the shapes of the text as it is now.")
    return shapes[index]


# --- what comes out ------------------------------------------------------------------------------


def _checked(task: _Task, edits: Sequence[TextEdit]) -> str:
    """The text after edits; raises GrainError with the errors that it had not before."""
    before = task.written.text
    try:
        after = applied(before, edits)
    except ValueError as error:
        message = f"a statement names region `{task.gesture.region}` twice"
        raise fail("G712", message, "Correct it in the text first.") from error
    allowed = _UNFINISHED if task.gesture.kind in ("delete", "keep") else frozenset()
    known = {(finding.code, finding.message) for finding in _errors(before)}
    for finding in _errors(after):
        if (finding.code, finding.message) not in known and finding.code not in allowed:
            raise fail(finding.code, finding.message, finding.cure)
    return after


def _errors(text: str) -> list[Diagnostic]:
    return [finding for finding in parse_all(text).diagnostics if finding.is_error]


def _selected(text: str, name: str, gesture: Gesture) -> tuple[int, int] | None:
    """What to select in the text after a gesture: a region's words, its shape, or its name."""
    written = Written(text)
    region = written.regions.get(name)
    if region is None:
        return None
    start, end = region.name.start_pos or 0, region.name.end_pos or 0
    if gesture.kind == "bind":
        claims = [one for one in written.claims if str(one.name) == name and not one.owner]
        for claim in claims:
            if claim.keyword in ("edit", "add"):
                return (claim.phrase.start_pos or 0) + 1, (claim.phrase.end_pos or 0) - 1
    elif gesture.kind == "move":
        return range_at(drawings(region)[gesture.shape or 0], gesture.frame)
    return start, end

"""A gesture and a text in, edits of the text out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from grainspec.analysis.document import Document
from grainspec.analysis.edits import TextEdit, applied, shifted
from grainspec.analysis.gestures.binding import bound, kept
from grainspec.analysis.gestures.drawing import box_sides, drawn_in, drawn_region, inside_frame
from grainspec.analysis.gestures.gesture import Gesture, read_gesture
from grainspec.analysis.gestures.keyframes import placed
from grainspec.analysis.gestures.lengths import Extent
from grainspec.analysis.gestures.names import (
    existing_region,
    fresh_name,
    region_of,
    unreadable_region,
    valid_name,
)
from grainspec.analysis.gestures.removing import removed_region, removed_shape
from grainspec.analysis.gestures.spec_text import SpecText, WrittenRegion, spec_text_of
from grainspec.analysis.gestures.written_shapes import WrittenShape, range_at, written_shapes
from grainspec.analysis.symbols import renamed
from grainspec.diagnostics import GrainError, fail
from grainspec.text.parse import parse_all

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
    """A gesture on a document, whose text begins after its byte order mark."""

    document: Document
    gesture: Gesture
    extent: Extent | None

    @property
    def mark(self) -> int:
        """The length of the byte order mark, which may be missing."""
        return int(self.document.text.startswith("\ufeff"))

    @property
    def written(self) -> SpecText:
        """The statements of the text."""
        return spec_text_of(self.document.text[self.mark :])

    @property
    def name(self) -> str:
        """The region that the gesture is about."""
        assert self.gesture.region is not None
        return self.gesture.region

    @property
    def region(self) -> WrittenRegion:
        """That region; raises GrainError if it is not defined, or cannot be read."""
        return existing_region(self.written, self.name)

    def shapes(self) -> list[WrittenShape]:
        """Its shapes; raises GrainError (G712) if they cannot be read."""
        region = self.region
        try:
            return written_shapes(region)
        except GrainError as error:
            raise unreadable_region(self.name, region.statement.span.line, error) from error


def gesture_edits(
    document: Document, gesture: Gesture | Mapping[str, Any], extent: Extent | None = None
) -> GestureResult:
    """The edits of a spec's text that a gesture stands for.

    ``extent`` has the clip's size and number of frames, as :func:`grainspec.clip.facts.probe` reads
    them; without it, lengths in pixels are refused. Raises GrainError: G710 for a gesture that
    cannot be read, G711 for one that does not fit its region, G712 for a region that cannot be
    read, G713 for one in use, G714 for words that are not in the prompt, G715 for pixels of an
    unknown frame, G303 for a frame past the end; and what would be an error in the text after it.

    >>> from grainspec.analysis.document import Document
    >>> text = 'grain 1\\nvideo "c"\\nregion left = track(point(30%, 55%) @ 0)\\n'
    >>> click = {"kind": "not_point", "frame": 0, "region": "left", "points": [[0.8, 0.8]]}
    >>> gesture_edits(Document(text, None), click).edits
    [TextEdit(start=53, end=53, text=', not point(80%, 80%)')]
    """
    asked = read_gesture(gesture)
    _require_frame(asked, extent)
    task = _Task(document, asked, extent)
    name, edits = _DOORS[asked.kind](task)
    ends = "\r\n" if "\r\n" in document.text else "\n"
    edits = [edit._replace(text=edit.text.replace("\n", ends)) for edit in edits]
    edits = [edit for edit in edits if edit.text != task.written.text[edit.start : edit.end]]
    select = _moved(task, edits) if asked.kind == "move" else _checked(task, name, edits)
    selected = select and (select[0] + task.mark, select[1] + task.mark)
    return GestureResult(_displaced(edits, task.mark), name, selected)


def _displaced(edits: Sequence[TextEdit], by: int) -> list[TextEdit]:
    """Edits of a text that begins so many characters earlier."""
    return [edit._replace(start=edit.start + by, end=edit.end + by) for edit in edits]


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
        shares = box_sides(shares, task.extent)
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
    place = (task.region.name.start_pos or 0) + task.mark
    edits = renamed(task.document, place, valid_name(task.gesture.name or ""))
    return edits[0].text if edits else task.name, _displaced(edits, -task.mark)


_DOORS: dict[str, Callable[[_Task], _Edited]] = {
    **dict.fromkeys(_DRAWS, _draw),
    "move": _move,
    "delete": _delete,
    "bind": _bind,
    "keep": _keep,
    "rename": _rename,
}


def _shape(task: _Task, shapes: Sequence[WrittenShape]) -> WrittenShape:
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


def _moved(task: _Task, edits: Sequence[TextEdit]) -> tuple[int, int]:
    """Where the text of a moved shape is then: only its numbers change, or it has a new keyframe.

    Only a shape that begins to move is read again: one is dragged many times a second.
    """
    drawing = _shape(task, task.shapes())
    if task.gesture.keyframe and not drawing.moves and drawing.track is None:
        text = applied(task.written.text, edits)
        after = replace(task, document=Document(text, task.document.path))
        return range_at(_shape(after, after.shapes()), task.gesture.frame)
    start, end = range_at(drawing, task.gesture.frame)
    if len(edits) == 1 and edits[0].start == edits[0].end:
        new = edits[0].text
        lead = len(new) - len(new.lstrip(", "))
        return edits[0].start + lead, edits[0].start + len(new.rstrip(", "))
    return start, shifted(end, edits)


def _checked(task: _Task, name: str, edits: Sequence[TextEdit]) -> tuple[int, int] | None:
    """What to select in the text after edits; raises GrainError with an error that they make."""
    try:
        after = applied(task.written.text, edits)
    except ValueError as error:
        message = f"a statement names region `{task.gesture.region}` twice"
        raise fail("G712", message, "Correct it in the text first.") from error
    allowed = _UNFINISHED if task.gesture.kind in ("delete", "keep") else frozenset()
    known = {(finding.code, finding.message) for finding in task.document.findings}
    for finding in parse_all(after).diagnostics:
        said = finding.code, finding.message
        if finding.is_error and said not in known and finding.code not in allowed:
            raise fail(finding.code, finding.message, finding.cure)
    return _selected(spec_text_of(after), name, task.gesture)


def _selected(written: SpecText, name: str, gesture: Gesture) -> tuple[int, int] | None:
    """The words of a region that was bound, or the name of one that was drawn in."""
    region = written.regions.get(name)
    if region is None:
        return None
    for claim in written.claims if gesture.kind == "bind" else ():
        if claim.region == name and claim.keyword in ("edit", "add") and not claim.owner:
            return (claim.phrase.start_pos or 0) + 1, (claim.phrase.end_pos or 0) - 1
    return region.name.start_pos or 0, region.name.end_pos or 0

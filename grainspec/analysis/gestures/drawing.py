"""Points, shapes and masks drawn in the picture: in a new region, or in one that is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from lark import Token

from grainspec.analysis.edits import TextEdit
from grainspec.analysis.gestures.gesture import Gesture
from grainspec.analysis.gestures.keyframes import placed
from grainspec.analysis.gestures.lengths import Extent, Share, sides_of
from grainspec.analysis.gestures.outline import simplified
from grainspec.analysis.gestures.placing import inserted
from grainspec.analysis.gestures.prompts import NewPrompt, added_prompt
from grainspec.analysis.gestures.spec_text import SpecText, WrittenRegion
from grainspec.analysis.gestures.written_shapes import Track, WrittenShape
from grainspec.analysis.quoted import quoted as quoted_text
from grainspec.clip.facts import IMAGE_SUFFIXES
from grainspec.diagnostics import fail
from grainspec.regions.globs import is_glob
from grainspec.text.kinds import quoted

_POINTS = ("point", "not_point")
_BOXES = ("box", "ellipse")


def drawn_region(
    written: SpecText, name: str, gesture: Gesture, extent: Extent | None
) -> list[TextEdit]:
    """The edits that add a region: a tracked object from a point or mask, or a shape."""
    if gesture.kind == "not_point":
        message = f"region `{name}` has no point on its object yet"
        raise fail("G711", message, "Click on the object first, then beside it.")
    prompt = _prompt(gesture, extent)
    text = prompt.text(_unit(written, extent), extent)
    follows = gesture.track
    if follows is None:
        follows = gesture.kind in ("point", "mask")
    if follows or gesture.kind == "point":
        text = f"track({text} @ {gesture.frame})"
    elif gesture.keyframe and gesture.kind != "mask":
        text = f"{text} @ {gesture.frame}"
    return inserted(written, f"region {name} = {text}")


def drawn_in(
    written: SpecText,
    region: WrittenRegion,
    shapes: Sequence[WrittenShape],
    gesture: Gesture,
    extent: Extent | None,
) -> list[TextEdit]:
    """The edits that draw in a region: a prompt of its track, or the place of its shape here.

    Raises GrainError (G711) if it has neither, or several.
    """
    prompt = _prompt(gesture, extent)
    chosen = [shapes[gesture.shape]] if gesture.shape is not None else shapes
    alike = [one for one in chosen if one.track is None and _is_like(one.kind, gesture.kind)]
    tracks = {id(one.track): one.track for one in chosen if one.track is not None}
    if len(alike) + len(tracks) > 1:
        message = f"region `{region.name}` has several shapes: which one is meant?"
        raise fail("G711", message, "Select one of them first.")
    if alike:
        start = None if gesture.keyframe is False else written.first_frame or 0
        return placed(alike[0], gesture.frame, prompt.shares, extent, start=start)
    for track in tracks.values():
        assert track is not None
        unit = _unit_of(_numbers(track)) or _unit(written, extent)
        return added_prompt(track, prompt, unit, extent, written.first_frame)
    if gesture.kind == "mask" and _is_masks(region):
        return [_other_masks(region, gesture.path or "")]
    raise _does_not_fit(region, gesture)


def _other_masks(region: WrittenRegion, path: str) -> TextEdit:
    """Have a region's masks read from another path; raises GrainError (G711) if they were lost."""
    token = _path(region)
    if _is_one_image(path) and not _is_one_image(quoted_text(token).text):
        message = f"region `{region.name}` has a mask for each frame, and this is one for all"
        raise fail("G711", message, "Paint the mask in its own file, or paint a new region.")
    return TextEdit(token.start_pos or 0, token.end_pos or 0, quoted(path))


def _is_one_image(path: str) -> bool:
    """Whether masks are one image, not a folder, a pattern or another file of many masks."""
    return PurePath(path).suffix.lower() in IMAGE_SUFFIXES and not is_glob(path)


def _does_not_fit(region: WrittenRegion, gesture: Gesture) -> Exception:
    written = "`track(…)`" if gesture.kind in _POINTS else f"`track(…)` and no {gesture.kind}"
    message = f"region `{region.name}` has no {written} in which this could be drawn"
    return fail("G711", message, "Draw it in a new region, or change its expression in the text.")


def _is_like(kind: str, gesture: str) -> bool:
    return kind == gesture or {kind, gesture} == set(_BOXES)


def _prompt(gesture: Gesture, extent: Extent | None) -> NewPrompt:
    """What was drawn, inside the frame."""
    kind = {"not_point": "point", "mask": "masks"}.get(gesture.kind, gesture.kind)
    inside = gesture.kind != "not_point"
    return NewPrompt(kind, gesture.frame, _shares(gesture, extent), inside, gesture.path or "")


def _shares(gesture: Gesture, extent: Extent | None) -> list[Share]:
    """x and y in turn: a place inside the frame, a box's top left and bottom right, an outline."""
    if gesture.kind == "mask":
        return []
    if gesture.kind in _POINTS:
        return inside_frame(gesture.shares, extent)
    points = [(_between(x), _between(y)) for x, y in gesture.points]
    if gesture.kind in _BOXES:
        return box_sides([share for point in points for share in point], extent)
    outline = simplified(points)
    if len(outline) < 3:
        raise fail("G711", "the outline has no area", "Draw around the object.")
    return [share for point in outline for share in point]


def _between(share: Share) -> Share:
    return min(1.0, max(0.0, share))


def inside_frame(shares: Sequence[Share], extent: Extent | None) -> list[Share]:
    """A place that is in the frame, however it is rounded."""
    sides = sides_of(extent) or (1000, 1000)
    limits = [min(0.999, (side - 1) / side) for side in sides]
    return [min(max(share, 0.0), limits[at % 2]) for at, share in enumerate(shares)]


def box_sides(shares: Sequence[Share], extent: Extent | None) -> list[Share]:
    """Left, top, right and bottom from two opposite corners; raises GrainError (G711) if equal."""
    x0, y0, x1, y1 = shares
    left, right, top, bottom = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    across, down = [1.5 / min(side, 1000) for side in sides_of(extent) or (1000, 1000)]
    if right - left < across or bottom - top < down:
        raise fail("G711", "the box has no area", "Drag from one corner to the opposite one.")
    return [left, top, right, bottom]


# --- how the user writes -------------------------------------------------------------------------


def _unit(written: SpecText, extent: Extent | None) -> str:
    """The unit of most lengths in the regions of a spec; percent while the frame has no size."""
    numbers = [
        token
        for region in written.regions.values()
        for token in region.expression.scan_values(lambda part: isinstance(part, Token))
    ]
    return (_unit_of(numbers) if extent else "") or "%"


def _unit_of(tokens: Sequence[Token]) -> str:
    """The unit of most of these lengths, "" if there are none."""
    pixels = sum(token.type == "PIXELS" for token in tokens)
    percents = sum(token.type == "PERCENT" for token in tokens)
    return "" if not pixels + percents else "px" if pixels > percents else "%"


def _numbers(track: Track) -> list[Token]:
    return list(track.call.scan_values(lambda part: isinstance(part, Token)))


def _is_masks(region: WrittenRegion) -> bool:
    return region.expression.data == "call" and str(region.expression.children[0]) == "masks"


def _path(region: WrittenRegion) -> Token:
    """The path of a region that is `masks(…)`."""
    values = region.expression.scan_values(lambda part: isinstance(part, Token))
    return next(token for token in values if token.type == "STRING")

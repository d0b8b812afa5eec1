"""A gesture in the picture, as an editor sends it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from grainspec.diagnostics import fail

GestureKind = Literal[
    "point",
    "not_point",
    "box",
    "ellipse",
    "polygon",
    "mask",
    "move",
    "delete",
    "bind",
    "keep",
    "rename",
]

_Share = Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)]

NEEDED = {"point": 1, "not_point": 1, "box": 2, "ellipse": 2, "polygon": 3}
"""How many points a gesture of a kind has; a polygon has at least so many."""


class Gesture(BaseModel):
    """What someone did in the picture, or with a region.

    ``point``, ``not_point``, ``box``, ``ellipse``, ``polygon`` and ``mask`` draw in ``region``; in
    a new one if there is none of this name, or it is None. ``move`` gives a shape new points.
    ``delete`` removes a prompt or a keyframe, or without ``shape`` the region. ``bind`` gives a
    region ``words``, ``keep`` keeps it as it is, ``rename`` calls it ``name``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: GestureKind
    frame: Annotated[int, Field(ge=0)] = 0
    """The source frame on which the playhead stands."""
    region: str | None = None
    shape: Annotated[int, Field(ge=0)] | None = None
    """The ``index`` of one of the region's shapes, as :func:`~grainspec.analysis.shapes.shapes`
    gives it. May be omitted where only one fits."""
    points: Annotated[tuple[tuple[_Share, _Share], ...], Field(max_length=20_000)] = ()
    """x and y as shares of the source frame: a place, two opposite corners, or an outline. For
    ``move`` all points of the shape, as :class:`~grainspec.analysis.shapes.Shape` has them."""
    path: str | None = None
    """For ``mask``: the painted image, relative to the spec's folder."""
    track: bool | None = None
    """Whether a new region follows the object from this frame on. By default points and masks do,
    and shapes do not."""
    keyframe: bool | None = None
    """Whether a shape that does not move yet begins to: it gets a keyframe here. By default one
    that is drawn again does, and one that is moved does not."""
    words: str | tuple[int, int] | None = None
    """For ``bind``: words of the target prompt, or the offsets of a selection in it, which count
    the code points of the whole text."""
    name: str | None = None
    """For ``rename``: the new name."""
    cascade: bool = False
    """Whether ``delete`` also removes the statements that use the region."""

    @property
    def shares(self) -> list[float]:
        """x and y of every point in turn."""
        return [share for point in self.points for share in point]


def read_gesture(given: Gesture | Mapping[str, Any]) -> Gesture:
    """A gesture from its JSON values; raises GrainError (G710) if one is wrong or missing.

    >>> read_gesture({"kind": "point", "frame": 3, "points": [[0.3, 0.55]]}).shares
    [0.3, 0.55]
    """
    if not isinstance(given, Gesture):
        try:
            given = Gesture.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise _unfit(f"`{place}` of the gesture: {first['msg']}") from error
    if wrong := _missing(given):
        raise _unfit(wrong)
    if given.region is None:
        return given
    return given.model_copy(update={"region": unicodedata.normalize("NFC", given.region)})


def _missing(gesture: Gesture) -> str:
    """What a gesture lacks; empty if nothing."""
    kind, count = gesture.kind, len(gesture.points)
    wanted = NEEDED.get(kind)
    if wanted and (count < wanted or (kind != "polygon" and count > wanted)):
        return f"`{kind}` needs {wanted} points, and has {count}"
    if kind not in NEEDED and kind != "mask" and gesture.region is None:
        return f"`{kind}` needs the name of a region"
    missing = {"mask": "path", "bind": "words", "rename": "name"}.get(kind)
    if missing and not getattr(gesture, missing):
        return f"`{kind}` needs `{missing}`"
    return ""


def _unfit(message: str) -> Exception:
    cure = "Send a gesture such as "
    cure += '`{"kind": "point", "frame": 12, "region": "left", "points": [[0.3, 0.55]]}`.'
    return fail("G710", message, cure)

"""Which properties suit which kind of region source, and how exact its masks must be."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

PROPERTIES = (
    "repeat",
    "region",
    "truth",
    "frame",
    "mirror",
    "flip",
    "transpose",
    "reversal",
    "start",
    "size",
    "length",
    "crop",
    "calls",
    "border",
    "shape",
    "small",
    "occlusion",
    "absence",
)
"""The properties that :func:`check_region_source` tests, besides the masks' shape and type."""


@dataclass(frozen=True)
class Recipe:
    """The properties that a kind of source has, and the least agreement of its masks.

    ``late``: whether it finds an object that enters after the first frame.
    """

    properties: Collection[str]
    agreement: float
    late: bool = True


_EVERYWHERE = (
    "repeat", "region", "truth", "size", "length", "calls", "border", "shape", "small", "occlusion",
    "absence",
)  # fmt: skip
"""What any source can be tested for."""

RECIPES: Mapping[str, Recipe] = {
    "exact": Recipe(
        (*_EVERYWHERE, "frame", "mirror", "flip", "transpose", "reversal", "crop"), agreement=1
    ),
    "network": Recipe((*_EVERYWHERE, "mirror", "reversal"), agreement=0.8),
    "tracker": Recipe(
        (*_EVERYWHERE, "mirror", "flip", "transpose", "reversal", "start"),
        agreement=0.8,
        late=False,
    ),
}
"""``exact``: each pixel is decided by itself, as by a colour threshold. ``network``: a network that
looks at the whole picture. ``tracker``: follows an object from the first frame on."""


def recipe(properties: str | Collection[str], agreement: float | None) -> Recipe:
    """A recipe by its name, or made of names of properties; raise ValueError for unknown names."""
    if isinstance(properties, str):
        if properties not in RECIPES:
            raise ValueError(f"unknown recipe {properties!r}; expected one of {[*RECIPES]}")
        chosen = RECIPES[properties]
    else:
        if unknown := {*properties} - {*PROPERTIES}:
            known = f"expected some of {PROPERTIES}, or one of {[*RECIPES]}"
            raise ValueError(f"unknown properties {sorted(unknown)}; {known}")
        chosen = Recipe(properties, 1, late="start" not in properties)
    if agreement is None:
        return chosen
    if not 0 < agreement <= 1:
        raise ValueError(f"invalid agreement {agreement}: a number above 0 and at most 1")
    return Recipe(chosen.properties, agreement, chosen.late)

"""Find masks that seem to be inverted: white where nothing is to be edited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from grainspec.diagnostics import Diagnostic, Related
from grainspec.model.expressions import MaskFiles
from grainspec.model.spec import Edit, EditSpec, Free
from grainspec.regions.layout import Mask

_LITTLE, _MOST = 0.02, 0.5


def seem_inverted(one: Mask, other: Mask) -> bool:
    """Whether two regions cover each other, while what is outside of each does not overlap.

    So it is with the masks of two objects that are white outside of the objects.

    >>> import numpy as np
    >>> left, right = np.array([1, 1, 0, 0, 0, 0], bool), np.array([0, 0, 0, 1, 1, 0], bool)
    >>> seem_inverted(left, right), seem_inverted(~left, ~right)
    (False, True)
    """
    shared, smaller = (one & other).sum(), min(one.sum(), other.sum())
    rest, less = (~(one | other)).sum(), min((~one).sum(), (~other).sum())
    return bool(shared > _LITTLE * smaller and less and rest <= _LITTLE * less) and bool(
        less <= _MOST * one.size
    )


def inverted_masks(
    spec: EditSpec, edits: Sequence[Edit | Free], masks: Mapping[str, Mask]
) -> list[Edit | Free]:
    """The edits whose masks seem to be inverted, at least two; empty if there are none."""
    sources = {region.name: region.expression for region in spec.regions}
    plain = [edit for edit in edits if isinstance(sources.get(edit.region), MaskFiles)]
    found = {
        edit.region
        for pair in combinations(plain, 2)
        if seem_inverted(masks[pair[0].region], masks[pair[1].region])
        for edit in pair
    }
    return [edit for edit in plain if edit.region in found]


def inversion(spec: EditSpec, edits: Sequence[Edit | Free]) -> Diagnostic:
    """The warning about edits whose masks seem to be inverted."""
    names = " and ".join(f"`{edit.region}`" for edit in edits)
    message = f"the masks of {names} cover each other, and seem to be inverted"
    sources = [spec.region(edit.region).expression for edit in edits]
    written = [source for source in sources if isinstance(source, MaskFiles)]
    if any(source.invert for source in written):
        cure = "Remove `invert` from each: white is the region then."
    else:
        texts = " and ".join(f'`masks("{source.path}", invert)`' for source in written)
        cure = f"If the objects are black in them, write {texts}."
    places = [spec.region(edit.region).span_of("expression") for edit in edits]
    related = tuple(Related(place, "these masks") for place in places if place)
    return Diagnostic("G312", message, cure, edits[0].span_of("region"), related=related)

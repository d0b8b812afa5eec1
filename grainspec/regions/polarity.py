"""Find masks that seem to be inverted: white where nothing is to be edited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from grainspec.diagnostics import Diagnostic, Related
from grainspec.model.expressions import MaskFiles
from grainspec.model.spec import Edit, EditSpec, Free, Keep
from grainspec.regions.layout import Layout, Mask

_LITTLE, _MOST = 0.02, 0.5

Claims = Sequence[Edit | Keep | Free]


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
    spec: EditSpec, edits: Claims, masks: Mapping[str, Mask]
) -> list[Edit | Keep | Free]:
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


def inversion(spec: EditSpec, edits: Claims) -> Diagnostic:
    """The warning about edits whose masks seem to be inverted."""
    names = " and ".join(f"`{edit.region}`" for edit in edits)
    message = f"the masks of {names} cover each other, and seem to be inverted"
    sources = [spec.region(edit.region).expression for edit in edits]
    written = [source for source in sources if isinstance(source, MaskFiles)]
    if any(source.invert for source in written):
        cure = "Remove `invert` from each: white is the region then."
    else:
        texts = " and ".join(map(_with_invert, written))
        cure = f"If the objects are black in them, write {texts}."
    places = [spec.region(edit.region).span_of("expression") for edit in edits]
    related = tuple(Related(place, "these masks") for place in places if place)
    return Diagnostic("G312", message, cure, edits[0].span_of("region"), related=related)


def explained(
    spec: EditSpec, regions: Layout, errors: Sequence[Diagnostic]
) -> Sequence[Diagnostic]:
    """Errors of carving; those of empty regions are one, if inverted masks leave no room."""
    empty = [error for error in errors if error.code == "G307"]
    named = [edit for edit in spec.edits if regions.mask(edit.region).any()]
    inverted = inverted_masks(
        spec, named, {edit.region: regions.mask(edit.region) for edit in named}
    )
    if not empty or not inverted:
        return errors
    found, first = inversion(spec, inverted), empty[0]
    message = f"{first.message}: {found.message}"
    merged = Diagnostic("G307", message, found.cure, first.span, related=found.related)
    return [merged, *(error for error in errors if error.code != "G307")]


def surrounds(spec: EditSpec, name: str, mask: Mask, share: float) -> str:
    """The cure if a region that surrounds another may be inverted, empty otherwise.

    ``share`` is how much of the other region lies inside.
    """
    source = spec.region(name).expression
    if not isinstance(source, MaskFiles) or share < 1 - _LITTLE or mask.mean() <= _MOST:
        return ""
    if source.invert:
        return f"If `{name}` is all but its object, remove `invert` from its masks. "
    return f"If `{name}` is all but its object, write {_with_invert(source)}. "


def _with_invert(source: MaskFiles) -> str:
    """The masks with `invert`, to be pasted unless they have other options."""
    plain = source == MaskFiles(path=source.path)
    return f'`masks("{source.path}", {"" if plain else "…, "}invert)`'

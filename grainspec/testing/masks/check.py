"""Write masks in every format, read them through the public door, and compare."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path

import numpy as np

from grainspec.diagnostics import GrainError
from grainspec.regions.bind import bind_regions
from grainspec.regions.layout import Mask
from grainspec.testing.broken import Broken
from grainspec.testing.causes import cause
from grainspec.testing.masks.formats import FORMATS
from grainspec.testing.masks.written import Written, write_clip
from grainspec.text.parse import parse

_ALLOWED = frozenset({"G315", "G335"})
"""Warnings that follow from what is drawn: frames without the object, a crop."""


def check_masks(
    masks: Mask, folder: str | Path | None = None, formats: Collection[str] | None = None
) -> None:
    """Write masks in every format, and require that they are read as drawn.

    ``masks``, bool ``[F, H, W]``, are written in all formats of
    ``grainspec.testing.masks.FORMATS``, or in those that ``formats`` names, bound with
    :func:`grainspec.bind`, and compared pixel by pixel. The files are written below ``folder``, or
    in a temporary one, and removed. Raises :class:`grainspec.testing.Broken` for the first format
    that is read differently, is refused, or is read with a warning, and ValueError for masks that
    cannot be drawn in all formats.

    >>> import numpy as np
    >>> masks = np.zeros((2, 12, 16), bool)
    >>> masks[0, 2:7, 3:9] = masks[1, 4:9, 5:14] = True
    >>> check_masks(masks, formats=["PNG, 8-bit grey", "COCO, compressed run lengths"])
    """
    if masks.dtype != np.bool_ or masks.ndim != 3 or min(masks.shape) < 1:
        raise ValueError(f"the masks are {masks.dtype} {masks.shape}, not bool [F, H, W]")
    if not masks.any() or masks.all():
        raise ValueError("the masks need a pixel inside the region, and one outside of it")
    if unknown := {*(formats or ())} - {*FORMATS}:
        known = "grainspec.testing.masks.FORMATS lists them"
        raise ValueError(f"unknown formats {sorted(unknown)}; {known}")
    with tempfile.TemporaryDirectory(dir=folder) as place:
        write_clip(Path(place), len(masks), masks)
        for number, (name, write) in enumerate(FORMATS.items()):
            if formats is None or name in formats:
                inner = Path(place) / str(number)
                inner.mkdir()
                written = write(inner, masks)
                drawn = masks if written.drawn is None else written.drawn
                _compare(name, written, drawn, inner)


def _compare(name: str, written: Written, drawn: Mask, place: Path) -> None:
    """Read masks that are drawn in a format; raise Broken if they are not read as drawn."""
    text = f'grain 1 {written.video} target "a bear" region r = {written.region} edit r -> "bear"'
    where: dict[str, object] = {"format": name, "region": written.region}
    try:
        bound = bind_regions(parse(text), place)
    except GrainError as error:
        (finding, *_) = error.diagnostics
        if finding.code == "G307" and not drawn.any():
            return
        message = f"masks that were drawn are refused: {finding.code}, {finding.message}"
        raise Broken("masks", message, **where) from error
    except Exception as error:
        message = f"reading masks raised {type(error).__name__}: {error}"
        raise Broken("masks", message, **where) from error
    read = bound.regions.mask("r")
    if read.shape != drawn.shape:
        message = f"masks were drawn as {drawn.shape}, and are read as {read.shape}"
        raise Broken("masks", message, **where)
    for frame, row, column in np.argwhere(read != drawn)[:1]:
        inside = "inside" if drawn[frame, row, column] else "outside"
        other = "outside" if inside == "inside" else "inside"
        message = f"a pixel that was drawn {inside} the region is read as {other}"
        if found := cause(drawn, read, {}, []):
            message += f": {found[0]}"
        raise Broken("masks", message, **where, frame=frame, pixel=f"{column},{row}")
    found_codes = {finding.code for finding in bound.warnings} - _ALLOWED
    if found_codes != written.warnings:
        said = "; ".join(f"{one.code}, {one.message}" for one in bound.warnings) or "no warning"
        due = ", ".join(sorted(written.warnings)) or "none"
        raise Broken("masks", f"the warnings should be {due}, and are: {said}", **where)

"""Findings about masks that are not black and white: their values, and how to select one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from grainspec.diagnostics import Diagnostic, GrainError, fail
from grainspec.model.expressions import MaskFiles
from grainspec.regions.colours import MOST_COLOURS, Rgb, hex_of
from grainspec.regions.shades import Shades

_SHOWN = 8


def shade_findings(
    source: MaskFiles, place: Path, shades: Shades, select: Callable[[int], str] | None
) -> list[Diagnostic]:
    """Say what is doubtful about the shades of masks; raise GrainError (G320) for other masks.

    ``select`` writes the option that selects a value; None if no option selects a single one.
    """
    verdict, values = shades.verdict(), shades.values
    if verdict == "binary":
        return []
    if verdict == "soft":
        message = f"{_share(shades)} of the pixels of the masks in {place} are grey"
        cure = "The region is what is at least half white; `threshold 50%` says that it is meant."
        return [Diagnostic("G321", message, cure, source.span)]
    if verdict == "greys" or (len(values) > MOST_COLOURS and verdict == "labels"):
        message = f"the masks in {place} have many shades of grey: {_share(shades)} of their "
        message += "pixels are neither nearly black nor nearly white"
        cure = "Use black and white masks, or say from which brightness on pixels are in the "
        cure += "region: `masks(…, threshold 50%)`."
        raise fail("G320", message, cure, source.span)
    message = f"the masks in {place} have the values {listed(list(map(str, values)))}"
    if verdict == "dark":
        message += f", none of which is nearly white ({shades.white})"
    raise fail("G320", message, _selection(shades, select, verdict == "labels"), source.span)


def _share(shades: Shades) -> str:
    return f"{max(0.01, max(shades.soft, shades.grey) / max(1, shades.pixels)):.0%}"


def _selection(shades: Shades, select: Callable[[int], str] | None, bright: bool) -> str:
    """The option that selects an object's value."""
    values = [value for value in shades.values if value > 0]
    if select is None or not values:
        share = 50 if bright else max(1, 50 * shades.values[-1] // shades.white)
        return f"Say from which brightness on pixels are in the region: `threshold {share}%`."
    cure = f"Select the object's: `masks(…, {select(values[0])})`."
    if bright:
        cure += " If they are shades of one mask, write `threshold 50%`."
    return cure


def coloured(
    source: MaskFiles,
    place: Path,
    colours: Counter[Rgb],
    entries: Mapping[int, Rgb],
    *,
    lossy: bool,
) -> GrainError:
    """Report the colours of masks; ``entries`` are those of their palettes, if all have one."""
    if len(colours) > MOST_COLOURS:
        message = f"the masks in {place} are pictures with many colours"
        cure = "Name a folder of masks, in black and white. To select pixels by their brightness, "
        return fail("G320", message, f"{cure}write `threshold 50%`.", source.span)
    used = [index for index, rgb in sorted(entries.items()) if rgb in colours]
    if used:
        names = [f"{index} (`{hex_of(entries[index])}`)" for index in used]
        message = f"the masks in {place} have the palette entries {listed(names)}"
        entry = next((index for index in used if any(entries[index])), used[0])
        return fail(
            "G320", message, f"Select the object's: `masks(…, index {entry})`.", source.span
        )
    known = [rgb for rgb, _ in colours.most_common()]
    message = f"the masks in {place} have the colours {listed([f'`{hex_of(c)}`' for c in known])}"
    option = f'colour "{hex_of(next((rgb for rgb in known if max(rgb) > min(rgb)), known[0]))}"'
    cure = f"Select the object's: `masks(…, {option})`."
    if lossy:
        cure = "Compression has changed their colours: save them as PNG, then select the object's "
        cure += f"with `{option}`."
    return fail("G320", message, cure, source.span)


def listed(names: Sequence[str]) -> str:
    """Names in a sentence.

    >>> listed(["0", "1", "2"])
    '0, 1 and 2'
    """
    if len(names) > _SHOWN:
        return f"{', '.join(names[:_SHOWN])}, …"
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last

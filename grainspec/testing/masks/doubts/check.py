"""Check that mask files have the findings that are due, and that good ones have none."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from grainspec.checking import check_all
from grainspec.checks.meaning import check_meaning
from grainspec.diagnostics import Diagnostic, GrainError
from grainspec.model.spec import EditSpec
from grainspec.regions.bind import bind_regions
from grainspec.regions.layout import Mask
from grainspec.testing.broken import Broken
from grainspec.testing.masks.doubts.case import FRAMES, HEIGHT, WIDTH, Case
from grainspec.testing.masks.doubts.table import CASES
from grainspec.testing.masks.written import write_clip
from grainspec.text.parse import parse


def check_mask_findings(
    folder: str | Path | None = None, cases: Collection[str] | None = None
) -> None:
    """Write doubtful masks and good ones, and require the findings that are due, and no other.

    ``cases`` are names of ``grainspec.testing.masks.CASES``, or None for all. The files are written
    below ``folder``, or in a temporary one, and removed. Raises :class:`grainspec.testing.Broken`
    for the first case whose findings are others.

    >>> check_mask_findings(cases=["two objects of 0, 1 and 2", "smooth edges"])
    """
    if unknown := {*(cases or ())} - {*CASES}:
        known = "grainspec.testing.masks.CASES lists them"
        raise ValueError(f"unknown cases {sorted(unknown)}; {known}")
    with tempfile.TemporaryDirectory(dir=folder) as place:
        write_clip(Path(place), FRAMES, np.zeros((FRAMES, HEIGHT, WIDTH), np.bool_))
        for number, (name, case) in enumerate(CASES.items()):
            if cases is None or name in cases:
                _check(name, case, Path(place) / str(number))


def _check(name: str, case: Case, place: Path) -> None:
    place.mkdir()
    regions = case.write(place)
    spec = _spec(regions, case)
    where = {"case": name, "region": regions}
    try:
        read, found = _bound(spec, place)
        checked = check_meaning(spec) + list(check_all(spec, place).findings)
    except Exception as error:
        raise Broken("findings", f"{type(error).__name__} was raised: {error}", **where) from error
    codes = [finding.code for finding in found]
    if codes != ([case.code] if case.code else []):
        due = case.code or "no finding"
        said = "; ".join(f"{one.code}, {one.message}" for one in found) or "none"
        raise Broken("findings", f"there should be {due}, and there is: {said}", **where)
    if missing := {*codes} - {finding.code for finding in checked}:
        message = f"`grain check` does not report {', '.join(sorted(missing))}, and binding does"
        raise Broken("findings", message, **where)
    for finding in found:
        text = f"{finding.message} {finding.cure}"
        for words in case.says:
            if words not in text:
                message = f"{finding.code} should say “{words}”, and says: {text}"
                raise Broken("findings", message, **where)
    if case.region is not None and (read is None or not np.array_equal(read, case.region)):
        raise Broken("findings", "the region has other pixels than were drawn", **where)


def _spec(regions: str, case: Case) -> EditSpec:
    """A spec whose regions are these, with an edit for each that is not kept."""
    written = [region.strip() for region in regions.split(";")]
    words = ["bear", "robot", "tree"][: len(written)]
    statements = [f"region {word} = {text}" for word, text in zip(words, written, strict=True)]
    edited = len(words) - case.kept
    statements += [f'edit {word} -> "{word}"' for word in words[:edited]]
    statements += [f"keep {word}" for word in words[edited:]]
    target = " ".join(words)
    path, _, settings = case.video.partition(" ")
    video = f"video {path} {{ {settings} size {WIDTH}x{HEIGHT} }}"
    return parse(f'grain 1 {video} target "{target}" {" ".join(statements)}')


def _bound(spec: EditSpec, place: Path) -> tuple[Mask | None, Sequence[Diagnostic]]:
    """The first region's pixels, and all findings; None instead of pixels if there is an error."""
    try:
        bound = bind_regions(spec, place)
    except GrainError as error:
        return None, error.diagnostics
    return bound.regions.mask(spec.regions[0].name), bound.warnings

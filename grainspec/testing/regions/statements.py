"""The regions of the edits, and what is said about them: errors and warnings."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from itertools import groupby

import numpy as np

from grainspec.diagnostics import Diagnostic
from grainspec.model.expressions import MaskFiles
from grainspec.model.spec import Free, Keep
from grainspec.regions.layout import Mask
from grainspec.testing.broken import Broken
from grainspec.testing.regions.binding import Binding
from grainspec.testing.regions.carving import Carved, carved, claims_of
from grainspec.testing.regions.cuts import Cut, cuts_of
from grainspec.testing.regions.extent import require
from grainspec.testing.regions.registry import binding_property
from grainspec.testing.regions.stated import stated_empty

_ABOUT_REGIONS = {"G307", "G313"}
_INVERTED = "seem to be inverted"


def regions_of(binding: Binding) -> dict[str, Mask]:
    """The pixels of all regions as bound, before edits take them from each other."""
    return {region.name: binding.regions.mask(region.name) for region in binding.spec.regions}


@binding_property("errors")
def errors(binding: Binding) -> None:
    """Binding fails exactly for the edits whose regions are empty, or far from their owners.

    Edits whose region a crop cuts away are reported first (G307). Then those whose region, or whose
    owner's, is empty on every frame, and parts outside of their owners (G313); then those that
    parts cover entirely, and those that kept regions cover, or kept regions that are empty.
    """
    expected = Counter(
        ("G307", "away", cut.region) for cut in cuts_of(binding) if cut.all_of_it is True
    ) or Counter(carved(binding.spec, regions_of(binding)).errors)
    doubtful = {cut.region for cut in cuts_of(binding) if cut.all_of_it is None}
    found: list[Diagnostic] = []
    if not binding.bound:
        found = [f for f in binding.outcome.diagnostics if f.is_error]  # type: ignore[union-attr]
    if any(_INVERTED in finding.message for finding in found):
        if not any(code == "G307" for code, *_ in expected):
            raise Broken("errors", f"{found[0].message}, but no region is empty")
        return
    actual = Counter(map(_said, found))
    if doubtful and expected != actual:
        return
    for (code, words, name), count in (actual - expected).items():
        raise Broken("errors", f"{code} “{words}” is reported {count} times too often", region=name)
    for (code, words, name), _ in (expected - actual).items():
        raise Broken("errors", f"{code} “{words}” is not reported", region=name)


_PHRASES = (
    "empty on every frame",
    "outside its owner",
    "parts cover",
    "kept regions cover",
    "away",
)


def _said(finding: Diagnostic) -> tuple[str, str, str]:
    names = re.findall(r"`([^`]*)`", finding.message)
    words = next((words for words in _PHRASES if words in finding.message), finding.message)
    return finding.code, words, (names[1:] if words == "away" else names or [""])[0]


@binding_property("carving")
def carving(binding: Binding) -> None:
    """The edits have their regions' pixels, but for those of parts and of kept regions.

    A part takes its pixels from every edit that is not a part, and from the parts it belongs to. A
    changed part is cut to its owner, an added one is not. Kept regions are subtracted from all.
    The edits are in their order, then what is free.
    """
    if not binding.bound:
        return
    edits, names = binding.bound.edits, [claim.region for claim in claims_of(binding.spec)]
    if list(edits.names) != names:
        message = f"the edits are of {', '.join(edits.names)}, not of {', '.join(names)}"
        raise Broken("carving", message)
    expected = carved(binding.spec, regions_of(binding))
    kept = [edit.region for edit in binding.spec.edits if isinstance(edit, Keep)]
    for name in names:
        actual = edits.mask(name)
        for keep in kept:
            both = actual & binding.regions.mask(keep)
            require(
                "carving",
                f"the edit of `{name}`",
                actual & ~both,
                actual,
                binding.frames,
                source=f"`{keep}` is kept",
                region=name,
            )
        if name in expected.edits:
            require(
                "carving",
                f"the edit of `{name}`",
                expected.edits[name],
                actual,
                binding.frames,
                source="parts and kept regions take other pixels from it",
                region=name,
            )
    _require_shown(binding)


def _require_shown(binding: Binding) -> None:
    """The regions shown in the result are those of the edits without padding."""
    assert binding.bound
    left, above, right, below = binding.plain.crop.padding
    bits = binding.bound.edits.bits_FHW
    inner = bits[:, above : bits.shape[1] - below, left : bits.shape[2] - right]
    if not np.array_equal(binding.bound.shown.bits_FHW, inner):
        raise Broken("carving", "the regions shown are not those of the edits without padding")


@binding_property("warnings")
def warnings(binding: Binding) -> None:
    """Warnings about regions are true, and none is missing.

    G312: two edits share more than 2% of the smaller one, after parts took their pixels, with the
    share. G315: an edit's region is empty on frames, which are listed, unless `during` or `missing
    empty` says so. G316: more than a quarter of a part lies outside of its owner, with the share.
    G335: a crop takes 5% or more of an edit's region, with the share and the frames. It is tested
    of the spec's own statements, and of the same regions if all of them are free.
    """
    _require_warnings(binding)
    seen = [name for name, mask in regions_of(binding).items() if mask.any()]
    if seen:
        edits = tuple(Free(region=name) for name in seen)
        spec = binding.spec.model_copy(update={"edits": edits})
        _require_warnings(Binding(spec, binding.base, binding.bind))


def _require_warnings(binding: Binding) -> None:
    if not binding.bound:
        return
    expected = carved(binding.spec, regions_of(binding))
    if expected.errors:
        return
    found = list(binding.bound.warnings)
    _outside(expected, [finding for finding in found if finding.code == "G316"])
    _empty_frames(binding, expected, [finding for finding in found if finding.code == "G315"])
    _overlaps(binding, expected.apart, [finding for finding in found if finding.code == "G312"])
    _cut_away(binding, [finding for finding in found if finding.code == "G335"])


def _names(finding: Diagnostic) -> list[str]:
    return re.findall(r"`([^`]*)`", finding.message)


def _percent(finding: Diagnostic) -> float:
    return float(re.findall(r"(\d+)%", finding.message)[0])


def _by_region(code: str, findings: list[Diagnostic], index: int = 0) -> dict[str, Diagnostic]:
    by_region = {_names(finding)[index]: finding for finding in findings}
    if len(by_region) < len(findings):
        raise Broken("warnings", f"{code} is reported twice for a region")
    return by_region


def _require_regions(code: str, expected: set[str], found: Mapping[str, Diagnostic]) -> None:
    for name in sorted(expected ^ set(found)):
        verb = "is missing" if name in expected else "is not true"
        raise Broken("warnings", f"the warning {code} {verb}", region=name)


def _require_share(finding: Diagnostic, share: float, region: str) -> None:
    if abs(_percent(finding) - 100 * share) > 0.5 + 1e-6:
        message = f"“{finding.message}”: the share is {share:.1%}"
        raise Broken("warnings", message, region=region)


def _outside(expected: Carved, found: list[Diagnostic]) -> None:
    warned = _by_region("G316", found)
    far = {name for name, (out, total) in expected.outside.items() if 4 * out > total}
    _require_regions("G316", far, warned)
    for name in far:
        out, total = expected.outside[name]
        _require_share(warned[name], out / total, name)


def _empty_frames(binding: Binding, expected: Carved, found: list[Diagnostic]) -> None:
    warned = _by_region("G315", found)
    empty: dict[str, list[int]] = {}
    for claim in claims_of(binding.spec):
        owner = claim.owner
        frames = [
            frame
            for frame, mask in zip(binding.frames, expected.cut[claim.region], strict=True)
            if not mask.any()
            and not stated_empty(binding, claim.region, frame)
            and not (owner and stated_empty(binding, owner, frame))
        ]
        if frames:
            empty[claim.region] = frames
    _require_regions("G315", set(empty), warned)
    for name, frames in empty.items():
        message = warned[name].message
        listed = [int(number) for number in re.findall(r"\d+", message.split("`")[-1])]
        if listed != frames[:8] or message.endswith("…") != (len(frames) > 8):
            wanted = ", ".join(map(str, frames))
            raise Broken("warnings", f"“{message}”: it is empty on {wanted}", region=name)


def _overlaps(binding: Binding, apart: Mapping[str, Mask], found: list[Diagnostic]) -> None:
    names = [claim.region for claim in claims_of(binding.spec)]
    inverted = [finding for finding in found if _INVERTED in finding.message]
    excused = {name for finding in inverted for name in _names(finding)}
    warned = {tuple(_names(finding)[:2]): finding for finding in found if finding not in inverted}
    for number, one in enumerate(names):
        for other in names[number + 1 :]:
            shared = int((apart[one] & apart[other]).sum())
            areas = {name: int(apart[name].sum()) for name in (one, other)}
            smaller = min(areas.values())
            finding = warned.pop((one, other), None)
            pair = f"{one} and {other}"
            if {one, other} <= excused:
                continue
            if (shared / smaller > 0.02) != (finding is not None):
                verb = "is not true" if finding else "is missing"
                message = f"the warning G312 {verb}: they share {shared} of {smaller} pixels"
                raise Broken("warnings", message, region=pair)
            if finding is not None:
                _require_overlap(binding, finding, shared, areas, pair, apart)
    for pair_of_names in warned:
        message = "the warning G312 names no two edits in their order"
        raise Broken("warnings", message, region=" and ".join(pair_of_names))


def _require_overlap(
    binding: Binding,
    finding: Diagnostic,
    shared: int,
    areas: Mapping[str, int],
    pair: str,
    apart: Mapping[str, Mask],
) -> None:
    same = shared == max(areas.values())
    names = pair.split(" and ")
    masks = all(isinstance(binding.spec.region(name).expression, MaskFiles) for name in names)
    said = "have the same masks" if masks else "are the same pixels"
    if same != finding.message.endswith(said):
        raise Broken("warnings", f"“{finding.message}”: they share {shared} pixels", region=pair)
    if not same:
        _require_share(finding, shared / min(areas.values()), pair)
        for behind, front in re.findall(r"`region (\w+) = … - (\w+)`", finding.cure):
            if not (apart[behind] & ~apart[front]).any():
                message = f"“{finding.cure}” leaves nothing of `{behind}`"
                raise Broken("warnings", message, region=pair)


def _cut_away(binding: Binding, found: list[Diagnostic]) -> None:
    warned = _by_region("G335", found, index=1)
    for cut in cuts_of(binding):
        finding = warned.pop(cut.region, None)
        if cut.lost is None:
            continue
        if (cut.lost >= 0.05 and not cut.all_of_it) != (finding is not None):
            verb = "is not true" if finding else "is missing"
            message = f"the warning G335 {verb}: the crop takes {cut.lost:.1%}"
            raise Broken("warnings", message, region=cut.region)
        if finding is not None:
            _require_share(finding, cut.lost, cut.region)
            _require_advice(binding, finding, cut)
    for name in warned:
        raise Broken("warnings", "the warning G335 is not true", region=name)


def _require_advice(binding: Binding, finding: Diagnostic, cut: Cut) -> None:
    """The warning lists the frames, and names what cuts and what helps."""
    video = binding.spec.video
    if not finding.message.endswith(f" on {_listed(cut.frames)}"):
        message = f"“{finding.message}”: it loses 5% or more on {_listed(cut.frames)}"
        raise Broken("warnings", message, region=cut.region)
    pad_helps = video.size is not None and video.fit != "pad"
    right = (
        _names(finding)[0] == ("crop" if video.crop is not None else "size"),
        ("`fit pad`" in finding.cure) == pad_helps,
        ("`crop`" in finding.cure) == (video.crop is not None),
    )
    if not all(right):
        message = f"“{finding.message}” has the cure “{finding.cure}”"
        raise Broken("warnings", message, region=cut.region)


def _listed(frames: list[int]) -> str:
    """Frames as a warning lists them, such as `frames 0 to 7 and 12`; at most six ranges."""
    ranges = []
    for _, group in groupby(enumerate(frames), lambda pair: pair[1] - pair[0]):
        run = [frame for _, frame in group]
        ranges.append(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]))
    shown = ranges[:6] + ["…"] * (len(ranges) > 6)
    word = "frames" if len(frames) > 1 else "frame"
    return f"{word} {' and '.join(filter(None, [', '.join(shown[:-1]), shown[-1]]))}"

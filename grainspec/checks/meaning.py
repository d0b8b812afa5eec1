"""What a spec says about itself: names, words and contradictions. No file is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

from grainspec.diagnostics import Diagnostic, suggestion
from grainspec.model.expressions import Box, references, uses_rest, walk
from grainspec.model.spec import Change, Edit, EditSpec, Free, Keep, Variant, Without
from grainspec.words import bind_phrases, nearest_words, occurrences

MAX_GUESSES = 20
"""For so many mistaken names, and words, what was meant is guessed: guessing takes its time."""
MAX_OF_VARIANTS = 100
"""After so many findings about variants the others are not looked at."""


def check_meaning(
    spec: EditSpec, *, absent: frozenset[str] = frozenset(), one_of_several: bool = False
) -> list[Diagnostic]:
    """Every finding about names, words and contradictions, of the spec and of all its variants.

    What is itself ``one_of_several`` edits of a spec may leave regions to the others. ``absent``
    names statements and regions that the spec lacks because they could not be read, the second
    variant's as ``2.target``; nothing is said about them.
    """
    whole = spec.without_variants()
    unknown = list(_unknown_names(spec, absent))
    findings = [
        *_duplicate_regions(spec),
        *unknown,
        *_circles(spec),
        *([] if unknown or one_of_several else _unused_regions(spec, absent)),
        *_flat_boxes(spec),
        *_edits(whole, absent, is_base=bool(spec.variants)),
        *_variants(spec),
    ]
    known = {(found.code, found.message, found.span) for found in findings}
    for number, (name, variant) in enumerate(
        zip(spec.variant_names, spec.variants, strict=True), 1
    ):
        if spec.variant_names.index(name) < number - 1:
            continue  # the second of a name
        if len(findings) > len(known) + MAX_OF_VARIANTS:
            break  # what is wrong with so many is wrong with the others too
        own = {entry.removeprefix(f"{number}.") for entry in absent}
        lost = frozenset(entry for entry in own if "." not in entry)
        said_anew = (
            variant.target is not None or bool(variant.edits) or not (spec.target and spec.changes)
        )
        for found in _edits(spec.as_variant(name), lost) if said_anew else ():
            if (found.code, found.message, found.span) not in known:
                findings.append(_of_variant(found, variant, spec))
    return findings


def _of_variant(found: Diagnostic, variant: Variant, spec: EditSpec) -> Diagnostic:
    """A finding about a variant, in the variant's words and place."""
    message = f"variant `{variant.name}`: {found.message}"
    edit = next((e for e in spec.changes if found.span and e.span_of("phrase") == found.span), None)
    if found.code not in {"G104", "G105"} or edit is None or variant.target is None:
        return Diagnostic(found.code, message, found.cure, found.span or variant.span)
    # The spec's own edit does not fit the variant's target: the variant is where to mend it.
    line = f" (line {found.span.line})" if found.span else ""
    cure = f"Say in the variant what becomes of `{edit.region}`{line}, or `without {edit.region}`."
    return Diagnostic(found.code, message, cure, variant.span_of("target"))


def _edits(
    spec: EditSpec, absent: frozenset[str], *, is_base: bool = False
) -> Iterator[Diagnostic]:
    """Findings about the words and edits of a spec without variants, or of one of them.

    What has variants need not be an edit by itself: it is their base.
    """
    yield from _circular_owners(spec)
    yield from _contradictions(spec)
    yield from _sampling(spec)
    if spec.target:
        yield from _phrases(spec)
    elif not is_base and "target" not in absent:
        cure = 'Add one, such as `target "a green robot on grass"`.'
        yield Diagnostic("G008", "there is no `target` statement", cure, spec.span)
    if not spec.changes and not is_base and not absent:
        cure = 'Add an edit, such as `edit instance left -> "green robot"`.'
        yield Diagnostic("G108", "the spec edits nothing", cure, spec.span)


def _sampling(spec: EditSpec) -> Iterator[Diagnostic]:
    """Settings of sampling that do not go together."""
    sampler = spec.sampler
    if sampler.eta and sampler.method != "ddim":
        message = f"`eta` is for `ddim`; `{sampler.method}` draws no noise"
        yield Diagnostic("G203", message, "Take it out.", sampler.span_of("eta"))
    for control in spec.controls:
        if control.start >= control.until:
            message = "the control ends before it begins"
            cure = "`from` is the share of steps where it begins, `until` where it ends."
            yield Diagnostic("G203", message, cure, control.span_of("until") or control.span)


def _variants(spec: EditSpec) -> Iterator[Diagnostic]:
    seen: set[str] = set()
    said = {edit.region for edit in spec.edits}
    names = {region.name for region in spec.regions}
    for variant in spec.variants:
        if variant.name in seen:
            message = f"two variants are called `{variant.name}`"
            yield Diagnostic("G102", message, "Rename one of them.", variant.span_of("name"))
        seen.add(variant.name)
        for change in variant.edits:
            known = change.region in names
            if isinstance(change, Without) and known and change.region not in said:
                message = f"the spec says nothing of `{change.region}` that could be left out"
                cure = "Take out the line: what no edit names is kept."
                yield Diagnostic("G110", message, cure, change.span_of("region"))


def _duplicate_regions(spec: EditSpec) -> Iterator[Diagnostic]:
    first: dict[str, int | None] = {}
    for region in spec.regions:
        if region.name in first:
            line = first[region.name]
            where = f"; the first is in line {line}" if line else ""
            message = f"two regions are called `{region.name}`{where}"
            yield Diagnostic("G102", message, "Rename one of them.", region.span_of("name"))
        else:
            span = region.span
            first[region.name] = span.line if span else None


def _unknown_names(spec: EditSpec, absent: frozenset[str]) -> Iterator[Diagnostic]:
    known = {region.name for region in spec.regions}
    used = [
        (reference.name, reference.span)
        for region in spec.regions
        for reference in references(region.expression)
    ]
    for edit in _all_edits(spec):
        used.append((edit.region, edit.span_of("region")))
        if isinstance(edit, Edit) and edit.owner is not None:
            used.append((edit.owner, edit.span_of("owner")))
    guesses = iter(range(MAX_GUESSES))
    known_or_absent = known | absent
    for name, span in used:
        if name not in known_or_absent:
            cure = 'Define it: `region … = masks("…")`.'
            if next(guesses, None) is not None:
                cure = suggestion(name, sorted(known)) or cure
            yield Diagnostic("G101", f"no region is called `{name}`", cure, span)


def _all_edits(spec: EditSpec) -> Iterator[Change]:
    """The statements about regions, those of the variants too."""
    yield from spec.edits
    for variant in spec.variants:
        yield from variant.edits


def _circles(spec: EditSpec) -> Iterator[Diagnostic]:
    uses = {
        region.name: {reference.name for reference in references(region.expression)}
        for region in spec.regions
    }
    circle = _circle(uses)
    if circle:
        named = _all_of(circle)
        message = f"{named} are defined by each other"
        if len(circle) == 1:
            message = f"{named} is defined by itself"
        span = next(r.span for r in spec.regions if r.name in circle)
        yield Diagnostic("G106", message, "Define one of them from a source of its own.", span)


def _circular_owners(spec: EditSpec) -> Iterator[Diagnostic]:
    owners = {
        edit.region: {edit.owner}
        for edit in spec.changes
        if edit.owner is not None and edit.owner != edit.region
    }
    circle = _circle(owners)
    if circle:
        message = f"{_all_of(circle)} are parts of each other"
        span = next(edit.span_of("owner") for edit in spec.changes if edit.region in circle)
        yield Diagnostic("G109", message, "Name as owner what the part belongs to.", span)


def _circle(uses: dict[str, set[str]]) -> list[str]:
    """Names that use each other in a circle, if there is one."""
    try:
        TopologicalSorter(uses).prepare()
    except CycleError as error:
        return list(dict.fromkeys(error.args[1]))
    return []


def _all_of(names: list[str]) -> str:
    return " and ".join(f"`{name}`" for name in sorted(names)[:6])


def _unused_regions(spec: EditSpec, absent: frozenset[str]) -> Iterator[Diagnostic]:
    if absent or any(uses_rest(region.expression) for region in spec.regions):
        return  # `rest` is what the others leave over, so it uses them all
    used = {edit.region for edit in _all_edits(spec)}
    used |= {edit.owner for edit in _all_edits(spec) if isinstance(edit, Edit) and edit.owner}
    for region in spec.regions:
        used |= {reference.name for reference in references(region.expression)}
    for region in spec.regions:
        if region.name not in used:
            message = f"nothing uses the region `{region.name}`"
            cure = f"Edit it, `keep {region.name}`, or take it out."
            yield Diagnostic("G103", message, cure, region.span_of("name"))


def _flat_boxes(spec: EditSpec) -> Iterator[Diagnostic]:
    shapes = [
        (shape, region.span)
        for region in spec.regions
        for shape in walk(region.expression)
        if isinstance(shape, Box)
    ]
    if spec.video.crop:
        shapes.append((spec.video.crop, spec.video.span))
    for shape, span in shapes:
        for key in shape.keyframes:
            for low, high, sides in (
                (key.x0, key.x1, "left and right"),
                (key.y0, key.y1, "top and bottom"),
            ):
                if low.unit == high.unit and low.value >= high.value:
                    message = f"the box has no area: its {sides} are {low} and {high}"
                    cure = "Give left, top, right and bottom, in this order."
                    yield Diagnostic("G309", message, cure, key.span or span)


def _contradictions(spec: EditSpec) -> Iterator[Diagnostic]:
    kept = {edit.region for edit in spec.edits if isinstance(edit, Keep)}
    seen: set[str] = set()
    for edit in spec.claims:
        span = edit.span_of("region")
        doing = "free" if isinstance(edit, Free) else "edited"
        if edit.region in kept:
            message = f"`{edit.region}` is kept and {doing}"
            cure = f"Take out the keep or the {'free' if doing == 'free' else 'edit'}."
            yield Diagnostic("G107", message, cure, span)
        if edit.region in seen:
            message = f"`{edit.region}` is {doing} and edited, or {doing} twice"
            message = f"`{edit.region}` is edited twice" if doing == "edited" else message
            cure = "Put all the words into one edit, or define a second region."
            yield Diagnostic("G109", message, cure, span)
        seen.add(edit.region)
        if edit.owner == edit.region:
            message = f"`{edit.region}` is a part of itself"
            cure = "Name the region that the part belongs to."
            yield Diagnostic("G109", message, cure, edit.span_of("owner"))


def _phrases(spec: EditSpec) -> Iterator[Diagnostic]:
    changes = spec.changes
    guesses = iter(range(MAX_GUESSES))
    places = bind_phrases([edit.phrase for edit in changes], spec.target)
    for edit, found in zip(changes, places, strict=True):
        span = edit.span_of("phrase")
        if found:
            continue
        if not occurrences(edit.phrase, spec.target):
            near = None
            if next(guesses, None) is not None:
                near = nearest_words(edit.phrase, spec.target)
            cure = f"Did you mean “{near}”?" if near else "Put the words into `target`."
            message = f"“{edit.phrase}” is not in the target prompt"
            yield Diagnostic("G104", message, cure, span)
        else:
            message = f"the words “{edit.phrase}” are bound by another edit already"
            cure = "Use other words, or one edit over the union of the regions."
            yield Diagnostic("G105", message, cure, span)

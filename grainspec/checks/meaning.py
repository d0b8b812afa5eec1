"""Checks of a spec by itself: names, words and contradictions. They read no files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

from grainspec.checks.phrases import check_phrases
from grainspec.checks.prompts import check_prompts
from grainspec.checks.sampling import check_sampling
from grainspec.checks.tracked import check_tracked
from grainspec.diagnostics import Diagnostic, Fix, Related, suggestion
from grainspec.diagnostics.span import Span
from grainspec.model.expressions import Box, references, shapes_of_prompts, uses_rest, walk
from grainspec.model.nodes import given
from grainspec.model.spec import Change, Edit, EditSpec, Free, Keep, Variant, Without

MAX_GUESSES = 20
"""The number of unknown names that get a suggestion; finding one is slow."""
MAX_OF_VARIANTS = 100
"""After this many findings about variants, further variants are not checked."""


def check_meaning(
    spec: EditSpec, *, absent: frozenset[str] = frozenset(), one_of_several: bool = False
) -> list[Diagnostic]:
    """Check names, words and contradictions of the spec and of all its variants.

    ``one_of_several`` states that the spec is one of several edits of a clip, which may leave
    regions unused. ``absent`` names the statements and regions that are missing because they could
    not be read, those of the second variant as ``2.target``; there are no findings about them.
    """
    whole = spec.without_variants()
    unknown = list(_unknown_names(spec, absent))
    findings = [
        *_duplicate_regions(spec),
        *unknown,
        *_circles(spec),
        *([] if unknown or one_of_several else _unused_regions(spec, absent)),
        *_flat_boxes(spec),
        *check_tracked(spec, absent),
        *check_prompts(spec),
        *_edits(whole, absent, is_base=bool(spec.variants)),
        *_variants(spec),
    ]
    known = {(finding.code, finding.message, finding.span) for finding in findings}
    for number, (name, variant) in enumerate(
        zip(spec.variant_names, spec.variants, strict=True), 1
    ):
        if spec.variant_names.index(name) < number - 1:
            continue  # a duplicate name
        if len(findings) > len(known) + MAX_OF_VARIANTS:
            break  # the remaining variants most likely have the same mistakes
        own = {entry.removeprefix(f"{number}.") for entry in absent}
        lost = frozenset(entry for entry in own if "." not in entry)
        differs = (
            variant.target is not None
            or bool(variant.edits or given(variant.sampler) or variant.method)
            or not (spec.target and spec.changes)
        )
        for finding in _edits(spec.as_variant(name), lost) if differs else ():
            key = finding.code, finding.message, finding.span
            if key not in known and not _inherited(finding, spec):
                findings.append(_of_variant(finding, variant, spec))
    return findings


def _inherited(finding: Diagnostic, spec: EditSpec) -> bool:
    """Whether a variant only inherits what has no effect in it (G111): in the spec it may have."""
    own = {*spec.spans.values(), *spec.sampler.spans.values(), *spec.blend.spans.values()}
    written = (spec.attention.span, spec.blend.span)
    return finding.code == "G111" and (
        finding.span in own or (finding.span is not None and finding.span in written)
    )


def _of_variant(finding: Diagnostic, variant: Variant, spec: EditSpec) -> Diagnostic:
    """A finding about a variant, with the variant's name and position."""
    message = f"variant `{variant.name}`: {finding.message}"
    span = finding.span
    edit = next((e for e in spec.changes if span and e.span_of("phrase") == span), None)
    if finding.code not in {"G104", "G105"} or edit is None or variant.target is None:
        return replace(finding, message=message, span=span or variant.span)
    # The spec's own edit does not fit the variant's target; the user corrects it in the variant.
    line = f" (line {span.line})" if span else ""
    cure = f"The edit of `{edit.region}`{line} applies to this variant too. "
    cure += f"Add an edit of `{edit.region}` to the variant, or `without {edit.region}`."
    return Diagnostic(finding.code, message, cure, variant.span_of("target"))


def _edits(
    spec: EditSpec, absent: frozenset[str], *, is_base: bool = False
) -> Iterator[Diagnostic]:
    """Check the words and edits of a spec without variants, or of one variant.

    ``is_base`` states that the spec has variants; then it need not be an edit by itself.
    """
    yield from _circular_owners(spec)
    yield from _contradictions(spec)
    yield from check_sampling(spec, absent)
    if spec.target:
        yield from check_phrases(spec)
    elif not is_base and "target" not in absent:
        cure = 'Describe the edited clip: `target "a green robot on grass"`.'
        yield Diagnostic("G008", "the `target` statement is missing", cure, spec.span)
    if not spec.changes and not is_base and not absent:
        cure = 'Add an edit, such as `edit instance left -> "green robot"`.'
        yield Diagnostic("G108", "the spec has no edit", cure, spec.span)


def _variants(spec: EditSpec) -> Iterator[Diagnostic]:
    first: dict[str, Span | None] = {}
    edited = {edit.region for edit in spec.edits}
    names = {region.name for region in spec.regions}
    for variant in spec.variants:
        if variant.name in first:
            place = first[variant.name]
            message = f"duplicate variant `{variant.name}`{_first_in(place)}"
            yield Diagnostic(
                "G102",
                message,
                "Rename one of them.",
                variant.span_of("name"),
                related=_related(place, "first defined here"),
            )
        else:
            first[variant.name] = variant.span_of("name")
        for change in variant.edits:
            known = change.region in names
            if isinstance(change, Without) and known and change.region not in edited:
                message = f"`without {change.region}` has no effect: "
                message += f"no statement outside the variant names `{change.region}`"
                cure = "Remove it. A region that no edit names is kept."
                yield Diagnostic("G110", message, cure, change.span_of("region"))


def _duplicate_regions(spec: EditSpec) -> Iterator[Diagnostic]:
    first: dict[str, Span | None] = {}
    for region in spec.regions:
        if region.name in first:
            place = first[region.name]
            message = f"duplicate region `{region.name}`{_first_in(place)}"
            yield Diagnostic(
                "G102",
                message,
                "Rename one of them.",
                region.span_of("name"),
                related=_related(place, "first defined here"),
            )
        else:
            first[region.name] = region.span_of("name")


def _first_in(place: Span | None) -> str:
    return f"; first defined in line {place.line}" if place else ""


def _related(place: Span | None, message: str) -> tuple[Related, ...]:
    """A second place of a finding, if it is known."""
    return (Related(place, message),) if place else ()


def _unknown_names(spec: EditSpec, absent: frozenset[str]) -> Iterator[Diagnostic]:
    known = {region.name for region in spec.regions}
    used = [
        (reference.name, reference.span, region.name)
        for region in spec.regions
        for reference in references(region.expression)
    ]
    for edit in _all_edits(spec):
        used.append((edit.region, edit.span_of("region"), ""))
        if isinstance(edit, Edit) and edit.owner is not None:
            used.append((edit.owner, edit.span_of("owner"), ""))
    guesses = iter(range(MAX_GUESSES))
    known_or_absent = known | absent
    for name, span, defined in used:
        if name in known_or_absent:
            continue
        if defined and name.lower() in {"rest", "all"}:
            keyword = name.lower()
            fixes = (Fix(span, keyword),) if span else ()
            message = f"unknown region `{name}`"
            yield Diagnostic("G101", message, f"Write `{keyword}`, in lower case.", span, fixes)
        else:
            cure = f'Define it: `region {name} = masks("…")`.'
            if next(guesses, None) is not None:
                cure = suggestion(name, sorted(known - {defined})) or cure
            yield Diagnostic("G101", f"unknown region `{name}`", cure, span)


def _all_edits(spec: EditSpec) -> Iterator[Change]:
    """The statements about regions, including those of the variants."""
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
        message = f"the regions {named} are defined in terms of each other"
        if len(circle) == 1:
            message = f"the region {named} is defined in terms of itself"
        first, *others = (region for region in spec.regions if region.name in circle)
        related = tuple(
            Related(place, f"`{region.name}` is defined here")
            for region in others[:6]
            if (place := region.span_of("name"))
        )
        cure = "Define one of them by masks or a shape."
        yield Diagnostic("G106", message, cure, first.span, related=related)


def _circular_owners(spec: EditSpec) -> Iterator[Diagnostic]:
    owners = {
        edit.region: {edit.owner}
        for edit in spec.changes
        if edit.owner is not None and edit.owner != edit.region
    }
    circle = _circle(owners)
    if circle:
        message = f"{_all_of(circle)} are parts of each other"
        first, *others = (edit for edit in spec.changes if edit.region in circle)
        related = tuple(
            Related(place, f"`{edit.region}` is a part of `{edit.owner}` here")
            for edit in others[:6]
            if (place := edit.span_of("owner"))
        )
        cure = "After `of`, name the object that the part belongs to."
        yield Diagnostic("G109", message, cure, first.span_of("owner"), related=related)


def _circle(uses: dict[str, set[str]]) -> list[str]:
    """The names of a circular dependency; empty if there is none."""
    try:
        TopologicalSorter(uses).prepare()
    except CycleError as error:
        return list(dict.fromkeys(error.args[1]))
    return []


def _all_of(names: list[str]) -> str:
    return " and ".join(f"`{name}`" for name in sorted(names)[:6])


def _unused_regions(spec: EditSpec, absent: frozenset[str]) -> Iterator[Diagnostic]:
    if absent or any(uses_rest(region.expression) for region in spec.regions):
        return  # `rest` depends on all other regions, so all are used
    used = {edit.region for edit in _all_edits(spec)}
    used |= {edit.owner for edit in _all_edits(spec) if isinstance(edit, Edit) and edit.owner}
    for region in spec.regions:
        used |= {reference.name for reference in references(region.expression)}
    for region in spec.regions:
        if region.name not in used:
            message = f"the region `{region.name}` is not used"
            cure = f"Edit it, protect it with `keep {region.name}`, or remove it."
            yield Diagnostic("G103", message, cure, region.span_of("name"))


def _flat_boxes(spec: EditSpec) -> Iterator[Diagnostic]:
    shapes = [
        (shape, region.span)
        for region in spec.regions
        for node in walk(region.expression)
        for shape in (node, *shapes_of_prompts(node))
        if isinstance(shape, Box)
    ]
    if spec.video.crop is not None:
        shapes.append((spec.video.crop, spec.video.span))
    for shape, span in shapes:
        for key in shape.keyframes:
            for low, high, sides in (
                (key.x0, key.x1, ("left", "right")),
                (key.y0, key.y1, ("top", "bottom")),
            ):
                if low.unit == high.unit and low.value >= high.value:
                    message = "the box has no area: "
                    message += f"{sides[0]} is {low} and {sides[1]} is {high}"
                    cure = "The order is `box(left, top, right, bottom)`."
                    yield Diagnostic("G309", message, cure, key.span or span)


def _contradictions(spec: EditSpec) -> Iterator[Diagnostic]:
    kept = {edit.region: edit.span_of("region") for edit in spec.edits if isinstance(edit, Keep)}
    seen: dict[str, tuple[str, Span | None]] = {}
    for edit in spec.claims:
        span = edit.span_of("region")
        state = "free" if isinstance(edit, Free) else "edited"
        if edit.region in kept:
            message = f"`{edit.region}` is both kept and {state}"
            cure = f"Remove the `keep` or the {'`free`' if state == 'free' else 'edit'}."
            related = _related(kept[edit.region], "kept here")
            yield Diagnostic("G107", message, cure, span, related=related)
        if edit.region in seen:
            before, place = seen[edit.region]
            message = f"`{edit.region}` is {state} twice"
            cure = "Put all words into one edit, or define a second region."
            if state == "free":
                cure = "Remove one of the two statements."
            if before != state:
                message = f"`{edit.region}` is both {before} and {state}"
            related = _related(place, f"first {before} here")
            yield Diagnostic("G109", message, cure, span, related=related)
        else:
            seen[edit.region] = state, span
        if edit.owner == edit.region:
            message = f"`{edit.region}` is its own owner"
            cure = "After `of`, name the object that the part belongs to."
            yield Diagnostic("G109", message, cure, edit.span_of("owner"))

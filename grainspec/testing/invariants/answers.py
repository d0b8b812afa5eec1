"""What the compiler refuses, and what it warns about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from grainspec.diagnostics import Diagnostic, GrainError
from grainspec.diagnostics.span import Span
from grainspec.model.spec import EditSpec
from grainspec.plan.compile import check_steps, compile_plan
from grainspec.regions.layout import Layout
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case, compile_with, compiled
from grainspec.testing.invariants.expected import level_grids
from grainspec.testing.invariants.registry import invariant
from grainspec.testing.invariants.sometimes import now_and_then


@invariant("refusals")
def refusals(case: Case) -> None:
    """What a backbone does not support is refused, and the message says what it does support.

    G314: a width or height that is no multiple of a latent pixel, or a number of frames that does
    not fill latent frames. G404: levels that it lacks, or that have no attention. G203: as many
    sampling steps as it was trained with, or more.
    """
    case = replace(case, spec=_with_places(case.spec))
    _sizes(case)
    _frames(case)
    _levels(case)
    if case.compiler is compiled:  # a compiler of a user's need not check the sampler
        _steps(case)


def _with_places(spec: EditSpec) -> EditSpec:
    """The spec as if read from a text: each statement and setting in a line of its own."""
    video = spec.video.replaced({"size": _line(1), "frames": _line(2)})
    attention = spec.attention.replaced({"levels": _line(3)})
    sampler = spec.sampler.replaced({"steps": _line(4)})
    edits = tuple(
        edit.replaced({"region": _line(10 + number)}) for number, edit in enumerate(spec.edits)
    )
    settings = {"video": video, "attention": attention, "sampler": sampler}
    return spec.model_copy(update={**settings, "edits": edits})


def _line(number: int) -> Span:
    return Span(number, 1, number, 9)


def _refused(case: Case, code: str, why: str, spec: EditSpec, layout: Layout) -> Diagnostic:
    """The error with which the compiler refuses a spec and layout."""
    try:
        compile_with(case.compiler, spec, layout, case.backbone)
    except GrainError as error:
        if [finding.code for finding in error.diagnostics] != [code]:
            message = f"{why} is refused with another error than {code}: {error}"
            raise Broken("refusals", message) from error
        return error.diagnostics[0]
    raise Broken("refusals", f"{why} is not refused")


def _require_place(case: Case, finding: Diagnostic, span: Span | None) -> None:
    """grainspec's compiler says where in the text the setting is."""
    if case.compiler is compiled and finding.span != span:
        raise Broken("refusals", f"{finding.code} is placed at {finding.span}, not {span}")


def _sizes(case: Case) -> None:
    side, bits = case.backbone.pixels_per_latent, case.layout.bits_FHW
    if side == 1:
        return
    for axis, wider in ((1, True), (2, True), (1, False), (2, False)):
        first = bits.take([0], axis)
        other = np.concatenate([bits, first], axis) if wider else first
        layout = Layout(case.layout.names, other, case.layout.frames)
        height, width = other.shape[1:]
        why = f"a size of {width}x{height} pixels, with {side} to a latent pixel,"
        finding = _refused(case, "G314", why, case.spec, layout)
        _require_place(case, finding, case.spec.video.span_of("size"))
        if f"{width}x{height}" not in finding.message:
            raise Broken("refusals", f"the message does not name {width}x{height}: {finding}")
        if case.compiler is compiled:
            near = [int(number) for number in re.findall(r"(\d+)x(\d+)", finding.cure)[0]]
            fits = all(
                number % side == 0 and abs(number - max(actual, side)) <= side / 2
                for number, actual in zip(near, (width, height), strict=True)
            )
            if not fits:
                message = f"for {width}x{height}, the message suggests {near[0]}x{near[1]}"
                raise Broken("refusals", f"{message}, not the next multiples of {side}")


def _frames(case: Case) -> None:
    per, count = case.backbone.frames_per_latent, len(case.layout.bits_FHW)
    if per == 1:
        return
    for more in {1, per - 1}:
        layout = case.layout.at([*range(count), *([count - 1] * more)])
        why = f"a clip of {count + more} frames, with {per} to a latent frame,"
        finding = _refused(case, "G314", why, case.spec, layout)
        _require_place(case, finding, case.spec.video.span_of("frames"))
        if f" {count + more} frames" not in finding.message:
            raise Broken("refusals", f"the message does not name {count + more} frames: {finding}")
        if case.compiler is compiled:
            numbers = [int(number) for number in re.findall(r"\d+", finding.cure)]
            if numbers != [per, count, count + per]:
                message = f"for {count + more} frames, the message suggests {numbers[1:]}, "
                raise Broken("refusals", message + f"not {[count, count + per]}")


def _levels(case: Case) -> None:
    backbone = case.backbone
    attended = set(range(backbone.level_count) if backbone.attended is None else backbone.attended)
    first = min(attended, default=0)
    for level in (*(set(range(backbone.level_count)) - attended), backbone.level_count):
        attention = case.spec.attention.model_copy(update={"levels": (first, level)})
        spec = case.spec.model_copy(update={"attention": attention})
        why = f"level {level} of a model with attention at {sorted(attended)}"
        finding = _refused(case, "G404", why, spec, case.layout)
        _require_place(case, finding, spec.attention.span_of("levels"))
        if f"level {level}" not in finding.message:
            raise Broken("refusals", f"the message does not name level {level}: {finding}")
        missing = level >= backbone.level_count
        suggested = [0, backbone.level_count - 1] if missing else sorted(attended)
        numbers = [int(number) for number in re.findall(r"\d+", finding.cure)]
        if case.compiler is compiled and numbers != suggested:
            message = f"for level {level}, the message suggests {numbers}, not {suggested}"
            raise Broken("refusals", message)


def _steps(case: Case) -> None:
    most = case.backbone.training_steps - 1
    for steps in (most, most + 1, most + 2):
        sampler = case.spec.sampler.model_copy(update={"steps": steps})
        try:
            check_steps(case.spec.model_copy(update={"sampler": sampler}), case.backbone)
        except GrainError as error:
            said = f"{steps} steps of {most + 1} are refused with {error}"
            (finding,) = error.diagnostics
            _require_place(case, finding, case.spec.sampler.span_of("steps"))
            if steps <= most or finding.code != "G203" or f"`steps {most}`" not in finding.cure:
                raise Broken("refusals", said) from error
        else:
            if steps > most:
                raise Broken("refusals", f"{steps} steps of {most + 1} are not refused")


@invariant("warnings")
def warnings(case: Case) -> None:
    """A region without a latent token at a modulated level is warned about (G401), and no other.

    This is a property of grainspec's compiler; others return no warnings. It is checked of every
    second case.
    """
    if case.compiler is not compiled or not now_and_then(case, 2):
        return
    spec = _with_places(case.spec)
    found = compile_plan(spec, case.layout, case.backbone).warnings
    actual = [_named(finding) for finding in found if finding.code == "G401"]
    places = {claim.region: claim.span_of("region") for claim in spec.claims}
    for finding in found:
        if finding.code == "G401" and finding.span != places[_named(finding)[0]]:
            raise Broken("warnings", f"{finding} is placed at {finding.span}")
    wanted = [*_vanishing(case)]
    for region, levels, grid in [one for one in wanted if one not in actual]:
        message = f"the region has no token at the levels {levels}, the first being {grid}; "
        raise Broken("warnings", message + f"the warnings are {actual}", region=region)
    for region, levels, _ in [one for one in actual if one not in wanted]:
        message = f"a warning says that the region has no token at the levels {levels}"
        raise Broken("warnings", message, region=region)
    if len(actual) != len(wanted):
        raise Broken("warnings", f"there are {len(actual)} warnings for {len(wanted)} regions")


def _named(finding: Diagnostic) -> tuple[str, list[int], str]:
    """The region, the levels and the grid that a warning names."""
    region, *levels = re.findall(r"`(\w+)`|(\d+)(?=,|$)", finding.message)
    grid = re.findall(r"\d+x\d+", finding.cure)
    return region[0], [int(level) for _, level in levels], "".join(grid)


def _vanishing(case: Case) -> Iterator[tuple[str, list[int], str]]:
    """The regions that have no latent token at some modulated level: those, and the first grid."""
    plan = case.plan
    for index, claim in enumerate(case.spec.claims):
        levels = [
            level.index
            for level in plan.levels
            if level.modulated and not plan.members_CE[level.labels_FHW, index].any()
        ]
        if levels:
            rows, columns = level_grids(case)[levels[0]]
            yield claim.region, levels, f"{columns}x{rows}"

"""What the compiler refuses, and what it warns about."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from grainspec.diagnostics import Diagnostic, GrainError
from grainspec.diagnostics.span import Span
from grainspec.model.spec import EditSpec
from grainspec.plan.compile import compile_plan
from grainspec.plan.supported import check_steps
from grainspec.regions.layout import Layout
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case, compile_with, compiled
from grainspec.testing.invariants.expected import level_grids
from grainspec.testing.invariants.registry import invariant
from grainspec.testing.invariants.sometimes import now_and_then


@invariant("refusals")
def refusals(case: Case) -> None:
    """What a backbone does not support is refused, and the message says what it does support.

    G314: a width or height that is no multiple of a latent token's, or a number of frames that does
    not fill latent frames. G404: levels that it lacks, or that have no attention; layers that a
    transformer lacks, and layers or columns of a UNet. G203: as many sampling steps as it was
    trained with, or more.
    """
    case = replace(case, spec=_with_places(case.spec))
    _sizes(case)
    _frames(case)
    _levels(case)
    _layers(case)
    if case.compiler is compiled:  # a compiler of a user's need not check the sampler
        _steps(case)


def _with_places(spec: EditSpec) -> EditSpec:
    """The spec as if read from a text: each statement and setting in a line of its own."""
    video = spec.video.replaced({"size": _line(1), "frames": _line(2)})
    attention = spec.attention.replaced(
        {"levels": _line(3), "layers": _line(5), "columns": _line(6)}
    )
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
    backbone, bits = case.backbone, case.layout.bits_FHW
    side = backbone.pixels_per_latent * backbone.patch
    if side == 1:
        return
    for axis, wider in ((1, True), (2, True), (1, False), (2, False)):
        first = bits.take([0], axis)
        other = np.concatenate([bits, first], axis) if wider else first
        layout = Layout(case.layout.names, other, case.layout.frames)
        height, width = other.shape[1:]
        why = f"a size of {width}x{height} pixels, with {side} to a latent token,"
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
    first, per = case.backbone.first_frames, case.backbone.frames_per_latent
    count = len(case.layout.bits_FHW)
    more = {count + number for number in {1, per - 1} if number % per}
    for wrong in sorted(more | ({first - 1} - {0})):
        layout = case.layout.at([*range(count), *([count - 1] * per)][:wrong])
        why = f"a clip of {wrong} frames, with {first} and then {per} to a latent frame,"
        finding = _refused(case, "G314", why, case.spec, layout)
        _require_place(case, finding, case.spec.video.span_of("frames"))
        if f" {wrong} frame" not in finding.message:
            raise Broken("refusals", f"the message does not name {wrong} frames: {finding}")
        if case.compiler is compiled:
            named = re.search(r"Use (\d+) or (\d+) frames", finding.cure)
            numbers = [int(number) for number in named.groups()] if named else []
            fitting = [count, count + per] if wrong > count else [first, first + per]
            if numbers != fitting:
                message = f"for {wrong} frames, the message suggests {numbers}, "
                raise Broken("refusals", message + f"not {fitting}")


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


def _layers(case: Case) -> None:
    """What a UNet or a transformer lacks, in the attention settings of the spec."""
    count = case.backbone.layer_count
    changes: list[tuple[str, object, str]] = [
        ("columns", 0.5, "columns"),
        ("layers", (0,), "layers"),
    ]
    if count is not None:
        changes = [("layers", (0, count), f"layer {count}"), ("layers", (count,), f"layer {count}")]
    for setting, value, named in changes:
        attention = case.spec.attention.model_copy(update={"layers": None, setting: value})
        spec = case.spec.model_copy(update={"attention": attention})
        why = f"`{setting}` {value} for a model with layers {count}"
        finding = _refused(case, "G404", why, spec, case.layout)
        _require_place(case, finding, spec.attention.span_of(setting))
        if named not in finding.message:
            raise Broken("refusals", f"the message does not name {named}: {finding}")


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

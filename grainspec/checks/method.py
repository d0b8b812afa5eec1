"""Checks of a spec against its `method`: an editing method of another paper, in place of a process.

What a method does not take from the rest of a spec is refused if it is a statement (G561), and
warned about if it is a setting (G111).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Literal, NamedTuple

from grainspec.checks.aligned_prompts import check_aligned_prompts
from grainspec.checks.flow_differences import check_flow_prompts, check_flow_scales
from grainspec.checks.method_settings import check_method_settings
from grainspec.checks.smoothing import check_smoothing
from grainspec.diagnostics import Diagnostic
from grainspec.diagnostics.span import Span
from grainspec.model.declaration import owned, settings_of
from grainspec.model.demo_models import is_demo_unet
from grainspec.model.nodes import Node, given
from grainspec.model.settings.blend import Blend
from grainspec.model.settings.flow import Flow
from grainspec.model.settings.method import SOURCE_MAPS, Method, MethodName
from grainspec.model.settings.sampler import Sampler
from grainspec.model.spec import EditSpec

Part = Literal[
    "inject",
    "freeu",
    "flow",
    "context",
    "control",
    "solver",
    "eta",
    "seed",
    "smooth_from",
    "skip",
    "source_guidance",
    "average",
    "amplify",
    "from",
]
"""What a method may take from the rest of a spec, besides prompts, regions, `steps` and `guidance`:
statements, then settings. ``solver`` is another solver than `ddim`, ``from`` that of `blend`."""

STATEMENTS: tuple[Part, ...] = ("inject", "freeu", "flow", "context", "control")


class Traits(NamedTuple):
    """What a method takes from a spec."""

    takes: Collection[Part]
    needs_flow: bool = False
    """Whether it needs the clip's optical flow, that of the statement `flow` or the default."""
    own_masks: bool = False
    """Whether masks of its own take the place of modulation."""
    by_difference: bool = False
    """Whether it edits by the difference between the flows of the two prompts: the source prompt
    must be given, and the target's guidance not be less."""
    needs_control: bool = False
    """Whether it needs a `control`, as one that begins with noise does."""
    decides: Collection[str] = ()
    """The settings of other statements that it decides itself, as `attention.frames`."""
    unstudied: str = ""
    """Why a study cannot record its attention; empty if it can. A study compares attention with and
    without the plan's modulation, over the same frames in every pass."""


_OF_INVERSION: frozenset[Part] = frozenset({"context", "control", "solver", "eta", "seed", "from"})

_OF_WINDOWS = ("context.overlap", "context.keys")
_OTHER_FRAMES = "it processes other frames together in every pass"
_SOURCE_MAPS_USED = "it takes attention from maps of the source, and modulates none"

TRAITS: Mapping[MethodName, Traits] = {
    "tokenflow": Traits(
        _OF_INVERSION | {"inject"},
        decides=("attention.frames", "attention.norm", *_OF_WINDOWS),
        unstudied=_OTHER_FRAMES,
    ),
    "controlvideo": Traits(
        _OF_INVERSION,
        needs_control=True,
        decides=("attention.frames", *_OF_WINDOWS),
        unstudied=_OTHER_FRAMES,
    ),
    "ground_a_video": Traits(
        _OF_INVERSION | {"flow"},
        needs_flow=True,
        own_masks=True,
        unstudied="it grounds the edits by boxes, and modulates no attention",
    ),
    "dmt": Traits(_OF_INVERSION | {"flow"}),
    "dfvedit": Traits({"context", "control", "seed", "source_guidance"}, by_difference=True),
    "fatezero": Traits(_OF_INVERSION, unstudied=_SOURCE_MAPS_USED),
    "video_p2p": Traits(_OF_INVERSION, unstudied=_SOURCE_MAPS_USED),
}
"""A row for each method. Which settings a method has, these declare themselves."""


def check_method(
    spec: EditSpec, method: Method, absent: Collection[str] = ()
) -> Iterator[Diagnostic]:
    """Check what contradicts the method (G561), or has no effect with it (G111).

    ``absent`` are statements that could not be read: nothing is said about what needs them.
    """
    traits, sampler = TRAITS[method.name], spec.sampler
    if sampler.process is not None:
        message = f"`process {sampler.process}` contradicts `method {method.name}`"
        cure = "Remove one of them: a method takes the place of the process."
        yield Diagnostic("G561", message, cure, sampler.span_of("process"))
    for part, find in _GIVEN.items():
        if part in traits.takes:
            continue
        for what, span in find(spec):
            if part in STATEMENTS:
                message = f"`{what}` is not supported by `method {method.name}`"
                yield Diagnostic("G561", message, f"Remove `{what}`, or `method`.", span)
            else:
                message = f"`{what}` has no effect with `method {method.name}`"
                cure = f"Remove `{what}`."
                if what in owned(settings_of(Method), method.name):
                    cure = f"Remove `{what}`: the method has a setting of this name."
                yield Diagnostic("G111", message, cure, span)
    yield from _regions(spec, method)
    if "context" not in absent:
        yield from check_method_settings(spec, method)
    yield from check_smoothing(spec, method.name)
    if method.name in SOURCE_MAPS:
        yield from check_aligned_prompts(spec, method)
    yield from _decided(spec, method, traits.decides)
    if traits.needs_control and not spec.controls and "control" not in absent:
        message = f"`method {method.name}` needs a `control`, and the spec has none"
        cure = "Add what the edit shall keep of the clip: `control pose`, or `control depth`."
        yield Diagnostic("G570", message, cure, method.span)
    if traits.by_difference and not is_demo_unet(spec.model):  # which lacks it: the fault to name
        yield from check_flow_prompts(spec, f"`method {method.name}`", method.span)
        yield from check_flow_scales(sampler, f"`method {method.name}`")
    if spec.negative.strip() and {sampler.guidance, sampler.low_noise_guidance} <= {1.0, None}:
        message = "`negative` has no effect with `guidance 1`"
        cure = "Remove it, or write a larger `guidance`."
        yield Diagnostic("G111", message, cure, spec.span_of("negative"))


def flow_of(spec: EditSpec) -> Flow | None:
    """The flow to estimate: that of the statement, or of a method that needs it."""
    needed = spec.method is not None and TRAITS[spec.method.name].needs_flow
    return spec.flow or (Flow() if needed else None)


def _regions(spec: EditSpec, method: Method) -> Iterator[Diagnostic]:
    """Check settings of statements that `regions` leaves unused, and the reverse."""
    written = f"regions {method.regions}"
    written_keys = given(spec.attention).keys() - {"profile", "norm"}
    modulation = written_keys - {"frames"}
    if TRAITS[method.name].own_masks and written_keys - {"phrases"}:
        message = f"`attention` has no effect with `method {method.name}`: it has masks of its own"
        cure = "Remove its settings, except for `norm` and `phrases`."
        yield Diagnostic("G111", message, cure, spec.attention.span)
    elif not method.modulates and modulation:
        message = f"`attention` has no effect with `{written}`: attention is not modulated"
        cure = "Remove the statement, or write `regions both`."
        yield Diagnostic("G111", message, cure, spec.attention.span)
    elif method.modulates and method.name in SOURCE_MAPS:
        yield from _regions_as_masks(spec, method)
    if not method.blends and spec.blend != Blend():
        message = f"`blend` has no effect with `{written}`: the source is not restored"
        cure = "Remove the statement, or write `regions both`."
        yield Diagnostic("G111", message, cure, spec.blend.span)
    if method.regions == "blend" and spec.blend.space == "none":
        message = "`regions blend` has no effect with `space none`"
        cure = "Write `regions off`, or remove `space none` from `blend`."
        yield Diagnostic("G111", message, cure, method.span_of("regions"))


def _regions_as_masks(spec: EditSpec, method: Method) -> Iterator[Diagnostic]:
    """Check settings of `attention` that are not those of masks."""
    for setting in sorted(given(spec.attention).keys() - _OF_MASKS):
        name = setting.rstrip("_")
        message = f"`{name}` has no effect with `method {method.name}`, whose regions are masks: "
        message += "attention is not modulated"
        yield Diagnostic("G111", message, f"Remove `{name}`.", spec.attention.span_of(setting))


_OF_MASKS = {"profile", "frames", "norm", "resize", "threshold"}
"""The settings of `attention` that do not modulate it."""


def _decided(spec: EditSpec, method: Method, settings: Collection[str]) -> Iterator[Diagnostic]:
    """Check for settings of other statements that the method decides itself."""
    for block, name in (setting.split(".") for setting in settings):
        node: Node | None = getattr(spec, block)
        if node is None or getattr(node, name) == type(node).model_fields[name].default:
            continue
        message = f"`{name}` of `{block}` has no effect with `method {method.name}`"
        yield Diagnostic("G111", message, f"Remove `{name}`.", node.span_of(name))


Found = Iterator[tuple[str, Span | None]]
"""What is written, and where."""


def _controls(spec: EditSpec) -> Found:
    for control in spec.controls:
        yield f"control {control.kind}", control.span


def _statement(name: str) -> Callable[[EditSpec], Found]:
    def find(spec: EditSpec) -> Found:
        node = getattr(spec, name)
        if node is not None:
            yield name, node.span

    return find


def _setting(name: str) -> Callable[[EditSpec], Found]:
    def find(spec: EditSpec) -> Found:
        if getattr(spec.sampler, name) != Sampler.model_fields[name].default:
            yield name, spec.sampler.span_of(name)

    return find


def _solver(spec: EditSpec) -> Found:
    if spec.sampler.method != "ddim":
        yield spec.sampler.method, spec.sampler.span_of("method")


def _from(spec: EditSpec) -> Found:
    if spec.blend.start and spec.blend.space in {"latents", "both"}:
        yield "from", spec.blend.span_of("from")


_GIVEN: Mapping[Part, Callable[[EditSpec], Found]] = {
    "inject": _statement("inject"),
    "freeu": _statement("freeu"),
    "flow": _statement("flow"),
    "context": _statement("context"),
    "control": _controls,
    "solver": _solver,
    "eta": _setting("eta"),
    "seed": _setting("seed"),
    "smooth_from": _setting("smooth_from"),
    "skip": _setting("skip"),
    "source_guidance": _setting("source_guidance"),
    "average": _setting("average"),
    "amplify": _setting("amplify"),
    "from": _from,
}
"""Where a spec has each part."""

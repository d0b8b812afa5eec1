"""Checks for settings of a `method` that others of the spec leave without effect (G111)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from grainspec.diagnostics import Diagnostic
from grainspec.model.settings.method import Method, MethodName
from grainspec.model.spec import EditSpec


class Unused(NamedTuple):
    """Settings without effect."""

    settings: tuple[str, ...]
    why: str
    """As it ends the sentence: ``with `updates 0` ``."""
    cure: str
    """What gives them an effect."""


def check_method_settings(spec: EditSpec, method: Method) -> Iterator[Diagnostic]:
    """Warn (G111) about settings that differ from their defaults and have no effect."""
    find = _UNUSED.get(method.name)
    for unused in find(spec, method) if find else ():
        for name in unused.settings:
            if getattr(method, name) != Method.model_fields[name].default:
                message = f"`{name}` has no effect {unused.why}"
                cure = f"Remove `{name}`, or {unused.cure}."
                yield Diagnostic("G111", message, cure, method.span_of(name))


def _source_maps(spec: EditSpec, method: Method) -> Iterator[Unused]:
    maps = method.source_maps
    if not maps.cross_steps:
        yield Unused(("words",), "with `cross_steps 0%`", "write a larger `cross_steps`")
    if method.regions == "both" and not spec.blend.start:
        why = "with `regions both`: the source is restored there after every step"
        yield Unused(("local_blend",), why, "write `regions attention`")
    masks_self = method.name == "fatezero" and maps.self_steps > 0
    if method.modulates:
        why = f"with `regions {method.regions}`: the edited regions are the masks"
        yield Unused(("mask_threshold",), why, "write `regions blend`")
    elif maps.local_blend == 1 and not masks_self:
        why = "with `local_blend 100%`"
        why += " and `self_steps 0%`" if method.name == "fatezero" else ""
        yield Unused(("mask_threshold",), why, "write a smaller `local_blend`")


def _ground_a_video(spec: EditSpec, method: Method) -> Iterator[Unused]:
    if not method.modulates:
        yield Unused(("grounded",), f"with `regions {method.regions}`", "write `regions both`")


def _dfvedit(spec: EditSpec, method: Method) -> Iterator[Unused]:
    if method.blends:
        why = f"with `regions {method.regions}`: the edited regions are its mask"
        yield Unused(("word_mask",), why, "write `regions attention`")


def _controlvideo(spec: EditSpec, method: Method) -> Iterator[Unused]:
    if spec.context is None:
        why = "without `context`: all frames attend to each other"
        yield Unused(("interval",), why, "add `context { frames 16 }`")
    if method.smooth_from == 1:
        yield Unused(("middle",), "with `smooth_from 100%`", "write a smaller `smooth_from`")


def _dmt(spec: EditSpec, method: Method) -> Iterator[Unused]:
    rates = ("first_rate", "last_rate")
    if not method.motion:
        yield Unused(("updates", *rates), "with `motion 0%`", "write a larger `motion`")
    elif not method.updates:
        yield Unused(("motion", *rates), "with `updates 0`", "write a larger `updates`")


_UNUSED: Mapping[MethodName, Callable[[EditSpec, Method], Iterator[Unused]]] = {
    "fatezero": _source_maps,
    "video_p2p": _source_maps,
    "ground_a_video": _ground_a_video,
    "controlvideo": _controlvideo,
    "dmt": _dmt,
    "dfvedit": _dfvedit,
}
"""What finds them, for the methods that have settings for only a part of what they do."""

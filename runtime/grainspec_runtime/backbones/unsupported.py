"""Errors (G504) about what a spec asks for and a model family cannot do. Free of torch.

The errors name the family and the place in the spec. A family's ``check`` calls
:func:`check_supported` with what its networks lack; the process and its noise are checked for all
families by :class:`grainspec_runtime.known.Known`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal

from grainspec.diagnostics import Diagnostic, GrainError, fail
from grainspec.diagnostics.span import Span
from grainspec.model.numbers import decimal_text
from grainspec.model.spec import EditSpec
from grainspec.plan.backbone import Backbone
from grainspec_runtime.backbones.family import Family

Feature = Literal["inject", "freeu", "flow", "norm", "frames", "low_noise_guidance"]
"""What a family may lack: the statements ``inject``, ``freeu`` and ``flow``; ``norm clip``; other
frame scopes than ``full``; guidance of a second expert."""


def check_supported(
    spec: EditSpec, family: str, lacking: Collection[Feature], one_expert: bool = False
) -> None:
    """Raise GrainError (G504) for all that a spec asks for and the models of a family cannot do.

    ``family`` is its name, as messages say it; ``lacking`` is what its models lack. ``one_expert``
    states that the family has models of two experts, and that the spec's checkpoint has one.
    """
    found = [check(spec) for feature, check in _CHECKS.items() if feature in lacking]
    findings = [
        Diagnostic("G504", _message(what, family), cure, span)
        for what, cure, span in filter(None, found)
    ]
    second = _low_noise_guidance(spec) if one_expert else None
    if second:
        what, cure, span = second
        message = _message(what, f"{spec.model}, a checkpoint with one expert")
        findings.append(Diagnostic("G504", message, cure, span))
    if findings:
        raise GrainError(findings)


def check_process_supported(spec: EditSpec, family: Family) -> None:
    """Raise GrainError (G504) for a process that the models of a family cannot run."""
    process = spec.sampler.process
    if process is None or process in family.processes:
        return
    cure = f"Write `process {family.processes[0]}`, or remove `process`."
    if process == "flow_edit":
        cure = f"`flow_edit` is for flow-matching models, such as Wan. {cure}"
    message = _message(f"process {process}", family.name)
    raise fail("G504", message, cure, spec.sampler.span_of("process"))


def check_method_supported(
    spec: EditSpec,
    family: Family,
    families: Sequence[Family],
    siblings: Callable[[], Mapping[str, Family]],
) -> None:
    """Raise GrainError (G504) for a `method` that the models of a family cannot run.

    ``families`` are all families, of which those that can are named; before them, those of the
    spec's ``siblings`` that can: models that need no download, with the family of each.
    """
    method = spec.method
    if method is None or method.name in family.methods:
        return
    able = [one for one in families if method.name in one.methods]
    names = " or ".join(f"{one.name} (such as `{one.example}`)" for one in able)
    message = _message(f"method {method.name}", family.name)
    cure = f"se a model of {names}, or remove `method`."
    shipped = [f'`model "{one}"`' for one, of in siblings().items() if method.name in of.methods]
    cure = f"Write {' or '.join(shipped)}, u{cure}" if shipped else f"U{cure}"
    raise fail("G504", message, cure, method.span)


def check_noise_supported(spec: EditSpec, family: Family, backbone: Backbone) -> None:
    """Raise GrainError (G504) for new noise in sampling steps (`eta`) of a flow-matching model."""
    sampler = spec.sampler
    process = sampler.process or family.processes[0]
    if (
        spec.method is None
        and backbone.noise == "flow"
        and sampler.eta
        and process == "invert_and_sample"
    ):
        cure = "Remove `eta`: sampling follows the flow, which draws no noise."
        message = _message(f"eta {decimal_text(sampler.eta)}", family.name)
        raise fail("G504", message, cure, sampler.span_of("eta"))


def _message(what: str, family: str) -> str:
    return f"`{what}` is not supported by {family}"


Finding = tuple[str, str, Span | None]
"""What is written, the cure, and the place."""


def _inject(spec: EditSpec) -> Finding | None:
    cure = "Remove the statement. With `process flow_edit`, a larger `skip` keeps more of the "
    cure += "source's structure."
    return ("inject", cure, spec.inject.span) if spec.inject else None


def _freeu(spec: EditSpec) -> Finding | None:
    cure = "Remove the statement: these models have no skip connections to weigh."
    return ("freeu", cure, spec.freeu.span) if spec.freeu else None


def _flow(spec: EditSpec) -> Finding | None:
    cure = "Remove the statement: these models attend across all frames by themselves."
    return ("flow", cure, spec.flow.span) if spec.flow else None


def _norm(spec: EditSpec) -> Finding | None:
    cure = "Remove `norm`: these models have no group norms."
    clip = spec.attention.norm == "clip"
    return ("norm clip", cure, spec.attention.span_of("norm")) if clip else None


def _frames(spec: EditSpec) -> Finding | None:
    scope, attention = spec.modulation.frames, spec.attention
    if scope == "full":
        return None
    profile = "" if attention.frames else f" It is a setting of `attention {attention.profile}`."
    cure = f"Write `frames full`: these models attend across all frames.{profile}"
    return f"frames {scope}", cure, attention.span_of("frames")


def _low_noise_guidance(spec: EditSpec) -> Finding | None:
    if spec.sampler.low_noise_guidance is None:
        return None
    cure = "Remove it: the model has one denoiser, and `guidance` is for all steps."
    return "low_noise_guidance", cure, spec.sampler.span_of("low_noise_guidance")


_CHECKS: dict[Feature, Callable[[EditSpec], Finding | None]] = {
    "inject": _inject,
    "freeu": _freeu,
    "flow": _flow,
    "norm": _norm,
    "frames": _frames,
    "low_noise_guidance": _low_noise_guidance,
}

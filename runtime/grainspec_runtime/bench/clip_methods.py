"""The editing methods in the comparison on clips, for image models and for video transformers.

No method follows a control signal, so that a model's own sense of motion is measured. Which methods
a model can run follows from what its family supports.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from grainspec.diagnostics import GrainError
from grainspec.model.demo_models import demo_model, is_demo_unet
from grainspec.model.spec import EditSpec
from grainspec_runtime.bench.case import CaseSet
from grainspec_runtime.bench.clip_cases import make_clip_case
from grainspec_runtime.bench.methods import METHODS, OFF, POSE, Method
from grainspec_runtime.known import Known, known

_UNSUPPORTED = "G504"
_clip = partial(Method, control=None)

_SHARED: tuple[Method, ...] = (
    _clip("no modulation", "all strengths 0, otherwise as ours", OFF),
    _clip("unbound 0.3", "words of no edit repel less than those of other edits", {"unbound": 0.3}),
    _clip("prompt only", "the target prompt, without regions", OFF, everywhere=True),
    _clip(
        "prompt, pasted", "the same, with the source put back outside the regions", OFF, paste=True
    ),
    _clip("ours, pasted", "ours, with the source put back outside the regions", paste=True),
)

IMAGE_METHODS: tuple[Method, ...] = (
    _clip("ours", "attention modulation with the model's own profile"),
    _clip("videograin", "the profile `videograin`", {"profile": "videograin"}),
    _clip("cross only", "ours with modulation of cross-attention only", {"self": 0.0}),
    _clip("self only", "ours with modulation of self-attention only", {"cross": 0.0}),
    *_SHARED,
    _clip("each", "every frame attends to itself only", {"frames": "each"}),
    _clip("full", "every frame attends to all frames", {"frames": "full"}),
    _clip(
        "first-last",
        "every frame attends to the first and the last frame",
        {"frames": "first_last"},
    ),
    _clip(
        "sparse-causal",
        "every frame attends to the first and the previous frame",
        {"frames": "sparse_causal"},
    ),
    Method("posed", "ours with the poses of the source clip", control=POSE),
)
"""Methods for models that invert a clip and sample from the noise: UNets of images and clips."""

FLOW_EDIT = {"skip": 0.1, "guidance": 2.0, "source_guidance": 1.0}
"""The settings of FlowEdit that suit the demo's video model, by the tuning split. At a guidance of
4, which the other methods have, figures change their poses and sizes more, and no more are right:
over six cases the error along the exact motion is 2.9 times the target's, and 2.3 times at 2."""
_video = partial(_clip, sampler=FLOW_EDIT)
_INVERTED = {"process": "invert_and_sample"}
PULL = 0.2
"""A moderate strength of self-attention, which the profile `demo_video` leaves alone."""

VIDEO_METHODS: tuple[Method, ...] = (
    _video("ours", "FlowEdit with modulation of cross-attention, by the model's own profile"),
    *(
        _video(m.name, m.about, m.attention, everywhere=m.everywhere, paste=m.paste)
        for m in _SHARED
    ),
    _video(
        "self only", "ours with modulation of self-attention only", {"cross": 0.0, "self": PULL}
    ),
    _video("both", "ours with modulation of self-attention, too", {"self": PULL}),
    _video(
        "guidance 4",
        "ours with the guidance of the other methods",
        sampler={**FLOW_EDIT, "guidance": 4.0},
    ),
    _video(
        "averaged",
        "ours with the mean of two noise samples in each step, and more guidance",
        sampler={**FLOW_EDIT, "average": 2, "guidance": 3.0},
    ),
    _video("any", "ours with regions of every latent token that they touch", {"resize": "any"}),
    _video("columns", "ours, and columns of cross-attention, too", {"columns": 0.3}),
    _clip(
        "FlowAnchor",
        "rows and columns of cross-attention, and its amplified FlowEdit",
        {"profile": "flowanchor"},
        sampler={**FLOW_EDIT, "skip": 0.08, "amplify": 1.0},
    ),
    _clip("inverted", "ours by inversion instead of FlowEdit", sampler=_INVERTED),
    _clip("inverted, no modulation", "the same with all strengths 0", OFF, sampler=_INVERTED),
)
"""Methods for flow-matching video transformers."""


def methods_for(model: str, cases: CaseSet) -> tuple[Method, ...]:
    """The methods that a model can run on a set of cases, ``ours`` first.

    Raises GrainError if the model does not exist or is not supported.
    """
    if demo_model(model) == "demo-image" and cases == "frames":
        return METHODS
    specs = _specs(IMAGE_METHODS, model)
    about = known(specs[0], Path())
    methods = IMAGE_METHODS
    if about.backbone.noise == "flow":
        methods, specs = VIDEO_METHODS, _specs(VIDEO_METHODS, model)
    return tuple(m for m, spec in zip(methods, specs, strict=True) if _runs(m, spec, about))


def _specs(methods: Sequence[Method], model: str) -> list[EditSpec]:
    case = make_clip_case(0, "tuning")
    return [method.spec(case, 10, model) for method in methods]


def _runs(method: Method, spec: EditSpec, about: Known) -> bool:
    if method.control is not None and not is_demo_unet(spec.model):
        return False  # `control pose` is the demo UNet's own
    try:
        about.check(spec, Path())
    except GrainError as error:
        if {finding.code for finding in error.diagnostics} == {_UNSUPPORTED}:
            return False
        raise
    return True

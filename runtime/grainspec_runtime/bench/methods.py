"""The ways to make an edit that are compared: ours, parts of ours, and what else one would try."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from grainspec import ALL, Builder
from grainspec.model.spec import Edit, EditSpec
from grainspec_runtime.bench.cases import FRAMES, Case

GUIDANCE = 4.0
POSE: dict[str, Any] = {"scale": 1.5}
"""How the poses are held, by all methods but one, as in the paper's own runs."""


@dataclass(frozen=True)
class Method:
    """attention, inject: their settings, as in a spec. control: those of `control pose`, None for
    none. flow: attention along it, too. everywhere: the prompt changes all of the frame; no region
    holds anything. paste: what is outside the regions is put back, in latents and pixels.
    reweighted: attention to an edit's words is scaled, as in Prompt-to-Prompt.
    """

    name: str
    about: str
    attention: dict[str, Any] = field(default_factory=dict)
    control: dict[str, Any] | None = field(default_factory=lambda: dict(POSE))
    inject: dict[str, Any] | None = None
    flow: bool = False
    everywhere: bool = False
    paste: bool = False
    reweighted: bool = False

    def spec(self, case: Case, steps: int) -> EditSpec:
        """The case's spec, to be edited this way."""
        builder = case.spec
        if self.everywhere:
            whole = case.spec.build()
            words = next(edit.phrase for edit in whole.changes if isinstance(edit, Edit))
            builder = (
                Builder("clip", frames=(0, FRAMES - 1))
                .source(whole.source)
                .target(whole.target)
                .region("everything", ALL)
                .edit("everything", words)
            )
        if self.paste:
            builder = builder.blend("both")
        builder = builder.attention(**self.attention)
        if self.control is not None:
            builder = builder.control("pose", **self.control)
        if self.inject is not None:
            builder = builder.inject(**self.inject)
        if self.flow:
            builder = builder.flow()
        return builder.sampler(steps=steps, guidance=GUIDANCE).build()


_OFF: dict[str, Any] = {"cross": 0.0, "self": 0.0}
OURS = Method("ours", "modulated attention, the demo model's profile, tuned on the other split")

METHODS: tuple[Method, ...] = (
    OURS,
    Method("videograin", "the profile with VideoGrain's constants", {"profile": "videograin"}),
    Method("no modulation", "both strengths 0, all else as ours", _OFF),
    Method("no control", "ours without the ControlNet for poses", control=None),
    Method("cross only", "words pull, features do not", {"self": 0.0}),
    Method("self only", "features pull, words do not", {"cross": 0.0}),
    Method("unbound 1", "words of no edit push as much as those of others", {"unbound": 1.0}),
    Method("full", "every frame attends to all", {"frames": "full"}),
    Method("first-last", "… to the first and the last", {"frames": "first_last"}),
    Method("sparse-causal", "… to the first and the one before", {"frames": "sparse_causal"}),
    Method("injected", "ours, with features of the source in 80 % of the steps", inject={}),
    Method("along flow", "ours, with attention along the clip's own motion", flow=True),
    Method("prompt only", "the target prompt, no regions at all", _OFF, everywhere=True),
    Method("prompt, pasted", "the same, the clip put back outside the regions", _OFF, paste=True),
    Method(
        "re-weighted",
        "Prompt-to-Prompt: attention to the new words × 4, to the place's × 2",
        _OFF,
        reweighted=True,
    ),
)
"""In the order of the table."""

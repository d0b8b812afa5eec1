"""The editing methods in the comparison on frames: ours, its ablations, and baselines.

Those on clips are in :mod:`grainspec_runtime.bench.clip_methods`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from grainspec import ALL, Builder
from grainspec.model.spec import DEMO, Edit, EditSpec
from grainspec_runtime.bench.case import SIZE, Case

GUIDANCE = 4.0
POSE: dict[str, Any] = {"scale": 1.5}
"""Settings of `control pose`, used by all methods but one, as in the paper's runs."""


@dataclass(frozen=True)
class Method:
    """An editing method.

    attention, inject, sampler: settings of these statements. control: settings of `control pose`;
    None for no control. flow: with attention along optical flow. everywhere: one edit of the whole
    frame, without regions. paste: the source is put back outside the regions, in latents and
    pixels. reweighted: scale attention to the words of edits, as in Prompt-to-Prompt.
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
    sampler: dict[str, Any] = field(default_factory=dict)

    def spec(self, case: Case, steps: int, model: str = DEMO) -> EditSpec:
        """Build the case's spec for this method and a model."""
        builder = case.spec
        if self.everywhere:
            whole = case.spec.build()
            words = next(edit.phrase for edit in whole.changes if isinstance(edit, Edit))
            builder = (
                Builder("clip", frames=case.spec.frames, size=case.spec.size)
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
        if model != DEMO:
            builder = replace(builder, size=(SIZE, SIZE)).model(model)
        return builder.sampler(**{"steps": steps, "guidance": GUIDANCE, **self.sampler}).build()


OFF: dict[str, Any] = {"cross": 0.0, "self": 0.0}
OURS = Method(
    "ours", "attention modulation with the demo profile, which was tuned on the other split"
)

METHODS: tuple[Method, ...] = (
    OURS,
    Method("videograin", "the profile `videograin`", {"profile": "videograin"}),
    Method("no modulation", "both strengths 0, otherwise as ours", OFF),
    Method("no control", "ours without `control pose`", control=None),
    Method("cross only", "ours with modulation of cross-attention only", {"self": 0.0}),
    Method("self only", "ours with modulation of self-attention only", {"cross": 0.0}),
    Method(
        "unbound 1", "words of no edit repel as strongly as those of other edits", {"unbound": 1.0}
    ),
    Method("full", "every frame attends to all frames", {"frames": "full"}),
    Method(
        "first-last",
        "every frame attends to the first and the last frame",
        {"frames": "first_last"},
    ),
    Method(
        "sparse-causal",
        "every frame attends to the first and the previous frame",
        {"frames": "sparse_causal"},
    ),
    Method("injected", "ours with features of the source in 80 % of the steps", inject={}),
    Method("along flow", "ours with attention along the clip's optical flow", flow=True),
    Method("prompt only", "the target prompt, without regions", OFF, everywhere=True),
    Method(
        "prompt, pasted", "the same, with the source put back outside the regions", OFF, paste=True
    ),
    Method(
        "re-weighted",
        "Prompt-to-Prompt: attention to new words × 4, to those of the place × 2",
        OFF,
        reweighted=True,
    ),
)
"""All methods, in the order of the table."""

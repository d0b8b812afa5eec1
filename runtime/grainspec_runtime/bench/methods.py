"""The editing methods in the comparison on frames: ours, its ablations, and baselines.

Those on clips are in :mod:`grainspec_runtime.bench.clip_methods`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, get_args

from grainspec import ALL, Builder, GrainError
from grainspec.model.settings.method import KEY_FRAME_INTERVAL, MethodName
from grainspec.model.settings.method import Method as TechniqueSettings
from grainspec.model.settings.sampler import Sampler
from grainspec.model.spec import DEMO, Attention, Edit, EditSpec, Inject
from grainspec_runtime.bench.case import SIZE, Case
from grainspec_runtime.bench.kinds import Kind
from grainspec_runtime.bench.reweighted import PLACES

GUIDANCE = 4.0
_OWN_SAMPLING: dict[str, Any] = {"process": None, "amplify": Sampler().amplify}
"""Settings of the sampler that belong to a method, with their defaults; the others suit the demo
models."""
POSE: dict[str, Any] = {"scale": 1.5}
"""Settings of `control pose`, used by all methods but one, as in the paper's runs."""


@dataclass(frozen=True)
class Method:
    """An editing method.

    attention, inject, freeu, sampler: settings of these statements. control: settings of `control
    pose`; None for no control. flow: with attention along optical flow. everywhere: one edit of the
    whole frame, without regions. paste: the source is put back outside the regions, in latents and
    pixels. late: the share of the steps that are not blended. reweighted: scale attention to the
    words of edits, as in Prompt-to-Prompt. technique: ``name`` and settings of the statement
    `method`, an editing method of another paper. place_weight: the `weight` of edits of the place.
    as_written: a user's spec stays as it is. stands_for: the process or the profile of attention
    that has the departures from the publication, if no technique has. kind: the models that the
    method is for, if not for all.
    """

    name: str
    about: str
    attention: dict[str, Any] = field(default_factory=dict)
    control: dict[str, Any] | None = field(default_factory=lambda: dict(POSE))
    inject: dict[str, Any] | None = None
    freeu: dict[str, Any] | None = None
    flow: bool = False
    everywhere: bool = False
    paste: bool = False
    late: float = 0.0
    reweighted: bool = False
    sampler: dict[str, Any] = field(default_factory=dict)
    technique: dict[str, Any] | None = None
    place_weight: float = 1.0
    as_written: bool = False
    stands_for: str = ""
    kind: Kind | None = None

    @property
    def publication(self) -> str:
        """The name under which its departures are listed; empty if it stands for no publication."""
        return self.technique["name"] if self.technique else self.stands_for

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
        if self.late:
            builder = builder.blend(start=self.late)
        builder = builder.attention(**self.attention)
        if self.control is not None:
            builder = builder.control("pose", **self.control)
        if self.inject is not None:
            builder = builder.inject(**self.inject)
        if self.freeu is not None:
            builder = builder.freeu(**self.freeu)
        if self.flow:
            builder = builder.flow()
        if self.technique is not None:
            settings = dict(self.technique)
            if settings["name"] == "tokenflow" and case.frames <= KEY_FRAME_INTERVAL:
                settings["interval"] = case.frames // 2  # two key frames, not one
            builder = builder.method(settings.pop("name"), **settings)
        if model != DEMO:
            builder = replace(builder, size=(SIZE, SIZE)).model(model)
        sampler = {"steps": steps, "guidance": GUIDANCE, **self.sampler}
        return self._weighted(builder.sampler(**sampler).build())

    def _weighted(self, spec: EditSpec) -> EditSpec:
        if self.place_weight == 1:
            return spec
        edits = tuple(
            statement.replaced({}, weight=self.place_weight)
            if isinstance(statement, Edit) and statement.region in PLACES
            else statement
            for statement in spec.edits
        )
        return spec.replaced({}, edits=edits)

    def unsuited(self, kind: Kind) -> str:
        """Why the method is not for models of a kind; empty if it is."""
        return "" if self.kind in (None, kind) else f"it is a method for {self.kind} models"

    @property
    def missing(self) -> str:
        """Why this version of grainspec does not have the method; empty if it does."""
        name = self.technique["name"] if self.technique else None
        if name is None or name in get_args(MethodName):
            return ""
        return f"this version of grainspec has no `method {name}`"

    def applied(self, spec: EditSpec) -> EditSpec:
        """A user's spec, edited by this method.

        The clip, prompts, regions, controls and sampler stay the user's; so does `attention`, where
        the method has no settings of its own. Every other statement that chooses how the edit is
        made is the method's own. ``missing`` must be empty.
        """
        if self.as_written:
            return spec.without_variants()
        changes: dict[str, Any] = dict.fromkeys(("inject", "flow", "freeu", "method"))
        changes["variants"] = ()
        if self.everywhere:
            words = next(edit.phrase for edit in spec.changes if isinstance(edit, Edit))
            whole = Builder("clip").target(words).region("everything", ALL)
            edits = whole.edit("everything", words).build()
            changes |= {"regions": edits.regions, "edits": edits.edits}
        if self.paste:
            changes["blend"] = spec.blend.replaced({}, space="both")
        if self.inject is not None:
            changes["inject"] = Inject(**self.inject)
        if self.attention:
            changes["attention"] = Attention(**self.attention)
        own = {name: self.sampler.get(name, usual) for name, usual in _OWN_SAMPLING.items()}
        changes["sampler"] = spec.sampler.replaced({}, **own)
        if self.technique is not None:
            changes["method"] = TechniqueSettings(**self.technique)
        return self._weighted(spec.replaced({}, **changes))


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


def refusal_of(error: GrainError) -> str:
    """The message of a refusal's first error; warnings may stand before it."""
    return next(it.message for it in error.diagnostics if it.is_error)


def failure_of(error: GrainError) -> str:
    """The code and the message of the first error of an edit that failed."""
    return next(f"{it.code}: {it.message}" for it in error.diagnostics if it.is_error)

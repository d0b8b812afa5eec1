"""Blocks of which every setting may be left out, as in a variant.

Generated from the declarations in :mod:`grainspec.model` by ``python -m grainspec.generate``.
"""
# fmt: off

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from grainspec.model.declaration import HEAD
from grainspec.model.nodes import Node
from grainspec.model.settings.attention import (
    Decay,
    FrameScope,
    Layers,
    NormScope,
    Outside,
    Overlap,
    PhraseContext,
    SelfArea,
    Timestep,
    TimestepOffset,
    Unconditional,
)
from grainspec.model.settings.profiles import Profiled
from grainspec.model.settings.sampler import (
    Amplification,
    NoiseCount,
    OptionalGuidance,
    OptionalProcess,
    SamplerMethod,
    Seed,
    Steps,
)
from grainspec.model.settings.values import Guidance, Levels, Percent, PositivePercent, Share
from grainspec.model.shapes import TokenRule


class Attention(Profiled):
    """The settings of ``attention`` that a spec or a variant gives; None for all others.

    >>> Attention(self=0.5).settled("demo").until, Attention(self=0.5).settled("owner/name").until
    (0.6, 0.3)
    """

    cross: Share | None = Field(
        default=None,
        description=
            "Strength of cross-attention modulation (between pixels and words).",
    )
    self_: Share | None = Field(
        default=None,
        alias="self",
        description=
            "Strength of self-attention modulation (between pixels and pixels).",
    )
    frames: FrameScope | None = Field(
        default=None,
        description=
            "Which frames a frame attends to: `full` (all), `each` (only itself), `first_last`, or "
            "`sparse_causal` (the first and the previous one).",
    )
    norm: NormScope | None = Field(
        default=None,
        description=
            "Where group norms take their statistics from: `each` (each frame alone) or `clip` "
            "(the whole clip, which reduces flicker and is what VideoGrain's code does); `auto` is "
            "`each` for the demo model and `clip` for all others.",
    )
    until: Percent | None = Field(
        default=None,
        description=
            "Share of the sampling steps, from the first, that are modulated. With 30% of 50 steps "
            "these are the first 15. Halves are rounded up, and any share above 0% is at least one "
            "step. Steps that `flow_edit` skips do not count.",
    )
    until_timestep: Timestep | None = Field(
        default=None,
        description=
            "Diffusion timestep, from 0 to T (usually 1000), below which nothing is modulated, "
            "regardless of `until`; for schedulers with unevenly spaced steps.",
    )
    decay: Decay | None = Field(
        default=None,
        description=
            "Exponent p of the schedule: the strength is (t / T)^p.",
    )
    timestep_offset: TimestepOffset | None = Field(
        default=None,
        description=
            "What is subtracted from the timestep t in (t / T)^p; VideoGrain's code subtracts 1.",
    )
    levels: Levels | None = Field(
        default=None,
        description=
            "Which levels of the network are modulated, 0 being the finest.",
    )
    phrases: PhraseContext | None = Field(
        default=None,
        description=
            "Whether an edit's words are encoded by themselves (`isolated`) or within the prompt "
            "(`in_context`).",
    )
    unconditional: Unconditional | None = Field(
        default=None,
        description=
            "Which prompt cross-attention reads in the unconditional pass of guidance: the "
            "`negative_prompt`, or the `empty_prompt`, as in VideoGrain's code, in which only "
            "ControlNets read the negative prompt, and the target prompt without isolated phrases.",
    )
    unbound: Share | None = Field(
        default=None,
        description=
            "How strongly edited regions are pushed away from the prompt's tokens that no edit "
            "binds (articles, words about the rest, the start and end tokens), as a share of the "
            "edit's `repel`: 1 is as strong as for other edits' words, as in the paper's code; 0 "
            "disables it. Lower values fit the edit better to its surroundings, but let more of "
            "them leak into it.",
    )
    outside: Outside | None = Field(
        default=None,
        description=
            "What happens to latent tokens of no region: nothing (`unmodulated`), or they are "
            "`repelled` by all latent tokens and words, as if their region had no area and no "
            "words, which flattens their attention; `free` regions, too, are repelled by all words "
            "then. So it is in VideoGrain's code.",
    )
    self_area: SelfArea | None = Field(
        default=None,
        description=
            "By how much a region's area weakens self-attention modulation: with the share A of "
            "all keys that share a region with a latent token, by the factor 1 − A (`share`), or, "
            "with `frames full`, by 1 − A / F for F frames (`squared`, since VideoGrain's code "
            "divides the number of keys by F²).",
    )
    overlap: Overlap | None = Field(
        default=None,
        description=
            "How overlapping regions count in these areas: latent tokens that share several "
            "regions count once (`union`), or once for each of them (`sum`, as in VideoGrain's "
            "code; an area of more than the whole is the whole).",
    )
    resize: TokenRule | None = Field(
        default=None,
        description=
            "Which latent tokens belong to a region: those whose centre is in it (`nearest`), "
            "those whose top left corner is (`corner`, as in VideoGrain's code), those with at "
            "least the share `threshold` of their pixels in it (`area`), or those with any pixel "
            "in it (`any`, for parts so small that they vanish at coarse levels).",
    )
    threshold: PositivePercent | None = Field(
        default=None,
        description=
            "The share of a token's pixels that `resize area` requires.",
    )
    layers: Layers | None = Field(
        default=None,
        description=
            "For transformers: which of their blocks are modulated, 0 being the first.",
    )
    columns: Share | None = Field(
        default=None,
        description=
            "For video transformers: how strongly the scores of an edit's words are also pulled to "
            "their extremes over all latent tokens (over the columns of cross-attention), up where "
            "the edit is and down elsewhere, as in FlowAnchor (2604.22586). The strength is "
            "`columns` times the edit's `weight` times the schedule (t / T)^`decay`.",
    )

    model_config = ConfigDict(serialize_by_alias=True)


class SamplerChange(Node):
    """The settings of ``sampler`` that a variant changes."""

    method: Annotated[SamplerMethod, HEAD] | None = Field(
        default=None,
        description=
            "DDIM, or one of the faster solvers of the same equation: DPM-Solver++ (2M), UniPC, "
            "DEIS. For flow-matching models DDIM is Euler's step, and `flow_edit` takes no other.",
    )
    steps: Steps | None = Field(
        default=None,
        description=
            "Number of sampling steps, and of inversion steps.",
    )
    guidance: Guidance | None = Field(
        default=None,
        description=
            "Scale of classifier-free guidance; 1 disables it.",
    )
    eta: Share | None = Field(
        default=None,
        description=
            "For `ddim`: the share of each step's noise that is replaced by new noise, from 0 "
            "(none) to 1 (all of it).",
    )
    seed: Seed | None = Field(
        default=None,
        description=
            "Seed of the noise that is drawn: by `eta` above 0, and by `flow_edit`.",
    )
    process: OptionalProcess | None = Field(
        default=None,
        description=
            "How the edit is made: `invert_and_sample` (invert the clip to noise, then sample from "
            "it), or `flow_edit` (FlowEdit, 2412.08629: move the clip along the difference between "
            "the predictions for the target and the source prompt, without inversion; for "
            "flow-matching models).",
    )
    smooth_from: Percent | None = Field(
        default=None,
        description=
            "For `invert_and_sample`: share of the steps after which the clip is smoothed, in two "
            "steps: every second frame becomes the middle of its neighbours along optical flow, as "
            "in ControlVideo (2305.13077). Flickers less, may undo parts of an edit; 100% disables "
            "it.",
    )
    skip: Percent | None = Field(
        default=None,
        description=
            "For `flow_edit`: share of the steps, from the noisiest, that are skipped, rounded "
            "like `until` of `attention`; a higher share keeps more of the source.",
    )
    source_guidance: Guidance | None = Field(
        default=None,
        description=
            "For `flow_edit`: scale of classifier-free guidance of the source prompt; `guidance` "
            "is that of the target prompt.",
    )
    average: NoiseCount | None = Field(
        default=None,
        description=
            "For `flow_edit`: number of noise samples in each step, over which the difference of "
            "predictions is averaged; each costs as much as the first.",
    )
    amplify: Amplification | None = Field(
        default=None,
        description=
            "For `flow_edit`: how much the difference of predictions is amplified where it is "
            "largest, more so in longer clips: γ of FlowAnchor (2604.22586), which uses 1; 0 "
            "disables it. A single latent frame is not amplified.",
    )
    low_noise_guidance: OptionalGuidance | None = Field(
        default=None,
        description=
            "For models of two experts, such as Wan 2.2 A14B: scale of guidance of the second "
            "expert, which denoises the less noisy steps.",
    )

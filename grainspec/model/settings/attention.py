"""The statement `attention`: how strongly, when and where attention is modulated."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    WithJsonSchema,
)

from grainspec.model.declaration import InText
from grainspec.model.layer_numbers import MAX_LAYER, as_ranges, without_ranges
from grainspec.model.nodes import Node
from grainspec.model.settings.values import Levels, Percent, PositivePercent, Share
from grainspec.model.shapes import TokenRule

Timestep = Annotated[float, Field(ge=0, le=1_000_000)]
TimestepOffset = Annotated[int, Field(ge=0, le=100)]
Decay = Annotated[float, Field(ge=0, le=100)]

_LAYERS_IN_JSON: dict[str, Any] = {
    "type": "array",
    "items": {
        "anyOf": [
            {"type": "integer", "minimum": 0, "maximum": MAX_LAYER},
            {"type": "string", "pattern": r"^\d{1,3}\.\.\d{1,3}$"},
        ]
    },
    "minItems": 1,
    "maxItems": MAX_LAYER + 1,
}

_LayerNumbers = Annotated[
    tuple[Annotated[int, Field(ge=0, le=MAX_LAYER)], ...],
    Field(min_length=1, max_length=MAX_LAYER + 1),
    BeforeValidator(without_ranges),
    PlainSerializer(as_ranges, when_used="json"),
    WithJsonSchema(_LAYERS_IN_JSON),
]

Layers = Annotated[
    Annotated[Literal["all"], Tag("all")] | Annotated[_LayerNumbers, Tag("layers")],
    Discriminator(lambda given: "all" if isinstance(given, str) else "layers"),
    InText(kind="layers"),
]

PhraseContext = Literal["isolated", "in_context"]
FrameScope = Literal["each", "first_last", "sparse_causal", "full"]
NormScope = Literal["auto", "each", "clip"]
SelfArea = Literal["share", "squared"]
Overlap = Literal["union", "sum"]
Outside = Literal["unmodulated", "repelled"]
Unconditional = Literal["negative_prompt", "empty_prompt"]


class Modulation(Node):
    """The settings of ``attention`` with a value for each: how strongly, when and on which frames.

    :data:`~grainspec.model.settings.profiles.PROFILES` has one for each profile.
    """

    cross: Share = Field(
        description="Strength of cross-attention modulation (between pixels and words)."
    )
    self_: Share = Field(
        alias="self",
        description="Strength of self-attention modulation (between pixels and pixels).",
    )
    frames: FrameScope = Field(
        default="full",
        description="Which frames a frame attends to: `full` (all), `each` (only itself), "
        "`first_last`, or `sparse_causal` (the first and the previous one).",
    )
    norm: NormScope = Field(
        default="auto",
        description="Where group norms take their statistics from: `each` (each frame alone) or "
        "`clip` (the whole clip, which reduces flicker and is what VideoGrain's code does); `auto` "
        "is `each` for the demo model and `clip` for all others.",
    )
    until: Percent = Field(
        description="Share of the sampling steps, from the first, that are modulated. With 30% of "
        "50 steps these are the first 15. Halves are rounded up, and any share above 0% is at "
        "least one step. Steps that `flow_edit` skips do not count."
    )
    until_timestep: Timestep = Field(
        default=0.0,
        description="Diffusion timestep, from 0 to T (usually 1000), below which nothing is "
        "modulated, regardless of `until`; for schedulers with unevenly spaced steps.",
    )
    decay: Decay = Field(description="Exponent p of the schedule: the strength is (t / T)^p.")
    timestep_offset: TimestepOffset = Field(
        default=0,
        description="What is subtracted from the timestep t in (t / T)^p; VideoGrain's code "
        "subtracts 1.",
    )
    levels: Levels = Field(
        default="all",
        description="Which levels of the network are modulated, 0 being the finest.",
    )
    phrases: PhraseContext = Field(
        description="Whether an edit's words are encoded by themselves (`isolated`) or within the "
        "prompt (`in_context`)."
    )
    unconditional: Unconditional = Field(
        default="negative_prompt",
        description="Which prompt cross-attention reads in the unconditional pass of guidance: the "
        "`negative_prompt`, or the `empty_prompt`, as in VideoGrain's code, in which only "
        "ControlNets read the negative prompt, and the target prompt without isolated phrases.",
    )
    unbound: Share = Field(
        description="How strongly edited regions are pushed away from the prompt's tokens that no "
        "edit binds (articles, words about the rest, the start and end tokens), as a share of the "
        "edit's `repel`: 1 is as strong as for other edits' words, as in the paper's code; 0 "
        "disables it. Lower values fit the edit better to its surroundings, but let more of them "
        "leak into it."
    )
    outside: Outside = Field(
        default="unmodulated",
        description="What happens to latent tokens of no region: nothing (`unmodulated`), or they "
        "are `repelled` by all latent tokens and words, as if their region had no area and no "
        "words, which flattens their attention; `free` regions, too, are repelled by all words "
        "then. So it is in VideoGrain's code.",
    )
    self_area: SelfArea = Field(
        default="share",
        description="By how much a region's area weakens self-attention modulation: with the share "
        "A of all keys that share a region with a latent token, by the factor 1 − A (`share`), or, "
        "with `frames full`, by 1 − A / F for F frames (`squared`, since VideoGrain's code divides "
        "the number of keys by F²).",
    )
    overlap: Overlap = Field(
        default="union",
        description="How overlapping regions count in these areas: latent tokens that share "
        "several regions count once (`union`), or once for each of them (`sum`, as in VideoGrain's "
        "code; an area of more than the whole is the whole).",
    )
    resize: TokenRule = Field(
        default="nearest",
        description="Which latent tokens belong to a region: those whose centre is in it "
        "(`nearest`), those whose top left corner is (`corner`, as in VideoGrain's code), those "
        "with at least the share `threshold` of their pixels in it (`area`), or those with any "
        "pixel in it (`any`, for parts so small that they vanish at coarse levels).",
    )
    threshold: PositivePercent = Field(
        default=0.5, description="The share of a token's pixels that `resize area` requires."
    )
    layers: Layers = Field(
        default="all",
        description="For transformers: which of their blocks are modulated, 0 being the first.",
    )
    columns: Share = Field(
        default=0.0,
        description="For video transformers: how strongly the scores of an edit's words are also "
        "pulled to their extremes over all latent tokens (over the columns of cross-attention), up "
        "where the edit is and down elsewhere, as in FlowAnchor (2604.22586). The strength is "
        "`columns` times the edit's `weight` times the schedule (t / T)^`decay`.",
    )

    model_config = ConfigDict(serialize_by_alias=True)

"""Compile regions and words to a mask plan, as in the VideoGrain paper (ICLR 2025)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from grainspec.diagnostics import Diagnostic, GrainError
from grainspec.model.spec import EditSpec
from grainspec.plan.backbone import Backbone
from grainspec.plan.mask_plan import MaskPlan, PlannedEdit, Relation, key_frames
from grainspec.plan.plan_warnings import (
    changing,
    early_end,
    no_step,
    unordered,
    unread_negative,
    vanishing,
)
from grainspec.plan.strengths import labels_dtype, level_of
from grainspec.plan.supported import (
    check_count,
    check_layers,
    check_places,
    check_size,
    chosen_levels,
)
from grainspec.plan.text_tokens import shared_tokens, tokens_of, unloaded_words, unread_words
from grainspec.plan.tokens import share_claimed, to_tokens
from grainspec.plan.windows import check_context
from grainspec.regions.layout import Bits, Layout
from grainspec.regions.parts import covered
from grainspec.scripts import is_blank
from grainspec.words import CharSpan, bind_phrases


@dataclass(frozen=True, slots=True)
class Compiled:
    """A plan and the warnings about it."""

    plan: MaskPlan
    warnings: tuple[Diagnostic, ...]


def compile_plan(spec: EditSpec, layout: Layout, backbone: Backbone) -> Compiled:
    """Compile a spec for a backbone; ``layout`` has one region per edit (see ``Bound.edits``).

    Raises GrainError: G104 for words that are not in the prompt, G402 for words beyond the text
    encoder's token limit, G404 for levels without attention and for layers and columns that the
    backbone lacks, G314 for a size or number of frames that it does not support, G419 for a
    `context` that does not fit its latent frames.
    """
    spec = spec.for_profile(backbone.profile)
    frames, height, width = layout.bits_FHW.shape
    check_size(spec, backbone, width, height)
    check_count(spec, backbone, layout.frames)
    check_layers(spec, backbone)
    grids = backbone.grids(width, height)
    modulated = chosen_levels(spec, backbone)
    edits = _bind_words(spec, backbone)
    words = np.zeros((len(edits), backbone.max_tokens), np.bool_)
    for index, edit in enumerate(edits):
        for tokens in edit.tokens:
            words[index, list(tokens)] = True

    groups = backbone.frame_groups(frames)
    if not (spec.method and spec.method.has_own_windows):
        check_context(len(groups), spec.context, backbone.frames_per_latent, backbone.first_frames)
    check_places(spec, backbone, width, height, len(groups))
    modulation = spec.modulation
    rule, share = modulation.resize, modulation.threshold
    sampled = to_tokens(layout.bits_FHW, groups, grids, rule, share)
    for bits in sampled:
        _carve_tokens(bits, edits)
    classes = np.unique(np.concatenate([np.unique(bits) for bits in sampled]))
    classes = np.union1d(np.zeros(1, classes.dtype), classes)  # class 0: no edit
    members = _members(classes, len(edits))
    scope = key_frames(modulation.frames, len(groups))
    levels = tuple(
        level_of(
            index,
            np.searchsorted(classes, bits).astype(labels_dtype(len(classes))),
            members,
            edits,
            modulation,
            scope,
            index in modulated,
        )
        for index, bits in enumerate(sampled)
    )
    padding = _padding(spec, backbone, words)
    plan = MaskPlan(
        target=spec.target,
        frames=layout.frames,
        first_frames=backbone.first_frames,
        frames_per_latent=backbone.frames_per_latent,
        noise=backbone.noise,
        edits=edits,
        attention=modulation,
        backbone=backbone.name,
        training_steps=backbone.training_steps,
        width=width,
        height=height,
        members_CE=members,
        words_ET=words,
        neutral_T=padding & (backbone.padding_keys == "neutral"),
        masked_T=padding & (backbone.padding_keys == "masked"),
        key_frames_FK=scope,
        edited_FHW=_edited(layout, groups, backbone, sampled[0]),
        levels=levels,
    )
    warnings = (
        *unread_words(spec, backbone),
        *(unloaded_words(spec, backbone) if backbone.exact_tokens else ()),
        *(shared_tokens(spec, edits, backbone) if backbone.exact_tokens else ()),
        *vanishing(spec, layout, plan),
        *changing(spec, layout, plan),
        *early_end(spec, plan, backbone),
        *no_step(spec, plan, backbone),
        *unordered(spec, plan, backbone),
        *unread_negative(spec, plan),
    )
    return Compiled(plan, warnings)


def _bind_words(spec: EditSpec, backbone: Backbone) -> tuple[PlannedEdit, ...]:
    places = list(backbone.tokenize(spec.target))
    errors: list[Diagnostic] = []
    planned = []
    changes = spec.changes
    for edit, spans in zip(
        changes, bind_phrases([e.phrase for e in changes], spec.target), strict=True
    ):
        if not spans:
            message = f"“{edit.phrase}” is not in the target prompt"
            cure = "Add these words to `target`."
            errors.append(Diagnostic("G104", message, cure, edit.span_of("phrase")))
            continue
        tokens = [tokens_of(span, places) for span in spans]
        last_read = max((end for _, end in places), default=0)
        if any(_last_letter(spec.target, span) >= last_read for span in spans) or not all(tokens):
            message = (
                f"“{edit.phrase}” is beyond the {backbone.max_tokens} text tokens "
                f"that {backbone.name} reads"
            )
            cure = "Shorten the target prompt, or move these words towards its start."
            errors.append(Diagnostic("G402", message, cure, edit.span_of("phrase")))
            continue
        planned.append(
            PlannedEdit(
                region=edit.region,
                verb=edit.verb,
                grain=edit.grain,
                owner=edit.owner,
                phrase=edit.phrase,
                weight=edit.weight,
                repel=edit.repulsion,
                spans=tuple(spans),
                tokens=tuple(tokens),
            )
        )
    if errors:
        raise GrainError(errors)
    planned += [
        PlannedEdit(claim.region, claim.verb, None, None, "", 1.0, 1.0, (), ())
        for claim in spec.claims[len(changes) :]
    ]
    return tuple(planned)


def _padding(spec: EditSpec, backbone: Backbone, words_ET: Relation) -> Relation:
    """The text tokens that are padding, ``[T]``; a family that pads with words is refused."""
    padding_T = np.zeros(backbone.max_tokens, np.bool_)
    if backbone.padding is not None:
        padding_T[list(backbone.padding(spec.target))] = True
    if (padding_T & words_ET).any():
        raise ValueError(f"padding of {backbone.name} includes words of the prompt")
    return padding_T


def _last_letter(text: str, span: CharSpan) -> int:
    """The index of a span's last visible character without combining marks.

    Tokenizers give no place to what they normalise away.
    """
    start, end = span
    while end - 1 > start and is_blank(text[end - 1]):
        end -= 1
    return end - 1


def _edited(
    layout: Layout, groups: Sequence[range], backbone: Backbone, tokens_FHW: Bits
) -> Relation:
    """The latents that may change: at least half claimed, or of a latent token that is claimed."""
    _, height, width = layout.bits_FHW.shape
    shares = share_claimed(layout.bits_FHW, groups, backbone.latent_size(width, height))
    claimed = tokens_FHW != 0
    for axis in (1, 2):
        claimed = claimed.repeat(backbone.patch, axis=axis)
    return np.asarray((shares >= 0.5) | claimed)


def _carve_tokens(bits_FHW: Bits, edits: Sequence[PlannedEdit]) -> None:
    """Remove the latent tokens of parts from the regions behind them, in place.

    Their pixels are already disjoint. But with the rules ``any`` and ``area`` a latent token can
    have enough pixels of both, and would attend to the words of both.
    """
    kind = bits_FHW.dtype.type
    place = {edit.region: kind(index) for index, edit in enumerate(edits)}
    whole = bits_FHW.copy()
    for part, behind in covered((edit.region, edit.grain, edit.owner) for edit in edits).items():
        lost = sum((kind(1) << place[region] for region in behind), kind(0))
        here = (whole >> place[part]) & kind(1) != 0
        bits_FHW[here] &= ~kind(lost)


def _members(classes: Bits, count: int) -> npt.NDArray[np.bool_]:
    positions = np.arange(count, dtype=classes.dtype)
    return np.asarray((classes[:, None] >> positions) & classes.dtype.type(1) != 0)

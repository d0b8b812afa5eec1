"""Compile regions and words to a mask plan, as in the VideoGrain paper (ICLR 2025)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from grainspec.diagnostics import Diagnostic, GrainError, fail
from grainspec.model.spec import EditSpec
from grainspec.plan.backbone import Backbone
from grainspec.plan.mask_plan import MaskPlan, PlannedEdit, class_counts, key_frames
from grainspec.plan.strengths import labels_dtype, level_of
from grainspec.plan.text_tokens import shared_tokens, unloaded_words, unread_words
from grainspec.plan.tokens import share_claimed, to_tokens
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
    encoder's token limit, G404 for levels without attention, G314 for a size or number of frames
    that the backbone does not support.
    """
    spec = spec.for_noise(backbone.noise)
    frames, height, width = layout.bits_FHW.shape
    _check_size(spec, backbone, width, height)
    _check_count(spec, backbone, frames)
    grids = backbone.grids(width, height)
    modulated = _chosen_levels(spec, backbone)
    edits = _bind_words(spec, backbone)
    words = np.zeros((len(edits), backbone.max_tokens), np.bool_)
    for index, edit in enumerate(edits):
        for tokens in edit.tokens:
            words[index, list(tokens)] = True

    groups = backbone.frame_groups(frames)
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
    plan = MaskPlan(
        target=spec.target,
        frames=layout.frames,
        frames_per_latent=backbone.frames_per_latent,
        edits=edits,
        attention=modulation,
        backbone=backbone.name,
        training_steps=backbone.training_steps,
        width=width,
        height=height,
        members_CE=members,
        words_ET=words,
        key_frames_FK=scope,
        edited_FHW=(share_claimed(layout.bits_FHW, groups, grids[0]) >= 0.5) | (sampled[0] != 0),
        levels=levels,
    )
    warnings = (
        *unread_words(spec, backbone),
        *(unloaded_words(spec, backbone) if backbone.exact_tokens else ()),
        *(shared_tokens(spec, edits, backbone) if backbone.exact_tokens else ()),
        *_vanishing(spec, layout, plan),
    )
    return Compiled(plan, warnings)


def check_steps(spec: EditSpec, backbone: Backbone) -> None:
    """Raise GrainError (G203) for more sampling steps than the model was trained with."""
    if spec.sampler.steps >= backbone.training_steps:
        most = backbone.training_steps - 1
        message = (
            f"invalid value `{spec.sampler.steps}` for `steps`: "
            f"the model was trained with {backbone.training_steps} timesteps"
        )
        cure = f"Use at most `steps {most}`; 50 is usual."
        raise fail("G203", message, cure, spec.sampler.span_of("steps"))


def _check_size(spec: EditSpec, backbone: Backbone, width: int, height: int) -> None:
    unit = backbone.pixels_per_latent
    if width % unit or height % unit:
        near = f"{max(1, round(width / unit)) * unit}x{max(1, round(height / unit)) * unit}"
        message = f"{backbone.name} does not support frames of {width}x{height} pixels"
        cure = f"Width and height must be multiples of {unit}, for example `size {near}`."
        raise fail("G314", message, cure, spec.video.span_of("size"))


def _check_count(spec: EditSpec, backbone: Backbone, frames: int) -> None:
    per = backbone.frames_per_latent
    if (frames - 1) % per:
        less = frames - (frames - 1) % per
        message = f"{backbone.name} does not support clips of {frames} frames"
        cure = f"Use one frame plus a multiple of {per}, for example {less} or {less + per} frames."
        raise fail("G314", message, cure, spec.video.span_of("frames"))


def _chosen_levels(spec: EditSpec, backbone: Backbone) -> frozenset[int]:
    chosen, attended = spec.modulation.levels, backbone.attended_levels
    if chosen == "all":
        return frozenset(attended)
    for level in chosen:
        if level in attended:
            continue
        if level < backbone.level_count:
            message = f"level {level} of {backbone.name} has no attention"
            cure = f"Write `levels {' '.join(map(str, attended))}` or `levels all`."
        else:
            message = f"{backbone.name} has no level {level}"
            cure = f"Its levels are 0 (the finest) to {backbone.level_count - 1}."
        raise fail("G404", message, cure, spec.attention.span_of("levels"))
    return frozenset(chosen)


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
        tokens = [_tokens_of(span, places) for span in spans]
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


def _last_letter(text: str, span: CharSpan) -> int:
    """The index of a span's last visible character without combining marks.

    Tokenizers give no place to what they normalise away.
    """
    start, end = span
    while end - 1 > start and is_blank(text[end - 1]):
        end -= 1
    return end - 1


def _tokens_of(span: CharSpan, places: Sequence[CharSpan]) -> tuple[int, ...]:
    start, end = span
    return tuple(
        index
        for index, (first, last) in enumerate(places)
        if first < last and first < end and start < last
    )


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


def _vanishing(spec: EditSpec, layout: Layout, plan: MaskPlan) -> list[Diagnostic]:
    """Warn about regions that have no latent token at some level."""
    findings = []
    in_frame = [
        int(np.bitwise_or.reduce(layout.bits_FHW[list(group)], axis=None)) for group in plan.groups
    ]
    tokens_FE = {  # latent tokens of every edit on every frame, at the modulated levels
        level.index: class_counts(level.labels_FHW, len(plan.members_CE)) @ plan.members_CE
        for level in plan.levels
        if level.modulated
    }
    for index, edit in enumerate(spec.claims):
        present = [frame for frame, bits in enumerate(in_frame) if bits >> index & 1]
        lost = [level for level, count in tokens_FE.items() if not count[present, index].any()]
        if lost:
            named = ", ".join(map(str, lost))
            message = f"`{edit.region}` is too small for level{'s' * (len(lost) > 1)} {named}"
            rows, columns = plan.levels[lost[0]].labels_FHW.shape[1:]
            cure = (
                f"No latent token of its {columns}x{rows} grid is in the region. "
                "`attention { resize any }` keeps small regions."
            )
            findings.append(Diagnostic("G401", message, cure, edit.span_of("region")))
    return findings

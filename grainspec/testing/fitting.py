"""Specs made to fit a backbone: its levels and layers, and windows of its latent frames."""

from __future__ import annotations

from typing import Any

from grainspec.model.spec import Attention, Context, EditSpec
from grainspec.plan.backbone import Backbone
from grainspec.plan.windows import LatentContext


def fitting(spec: EditSpec, backbone: Backbone) -> EditSpec:
    """The spec with levels and layers that the backbone has, and a `context` that fits it.

    >>> from grainspec import parse
    >>> from grainspec.testing import word_backbone
    >>> text = 'grain 1 video "c" target "a" region r = all edit r -> "a" '
    >>> text += "attention { levels 3 } context { keys 0 }"
    >>> changed = fitting(parse(text), word_backbone(levels=2, frames_per_latent=4))
    >>> changed.attention.levels, changed.context.keys
    ((1,), 1)
    """
    update: dict[str, Any] = {"attention": _attention(spec.attention, backbone)}
    if spec.context is not None:
        update["context"] = _context(spec.context, backbone)
    return spec.model_copy(update=update)


def _attention(attention: Attention, backbone: Backbone) -> Attention:
    update: dict[str, Any] = {}
    levels, layers, count = backbone.attended_levels, attention.layers, backbone.layer_count
    if isinstance(attention.levels, tuple):
        update["levels"] = tuple(levels[level % len(levels)] for level in attention.levels)
    if isinstance(layers, tuple):
        update["layers"] = tuple(sorted({layer % count for layer in layers})) if count else None
    if count is None:
        update["columns"] = None
        update["profile"] = None if attention.profile == "flowanchor" else attention.profile
    return attention.model_copy(update=update)


def _context(context: Context, backbone: Backbone) -> Context:
    per, first = backbone.frames_per_latent, backbone.first_frames
    keys = max(context.keys, int(first != per))
    overlap = LatentContext.of(context, per, first).overlap
    needed = first + (keys + overlap) * per  # a latent frame more than these
    frames = max(context.frames, needed if per > 1 or first > 1 else 0, context.overlap + keys + 1)
    return Context(frames=frames, overlap=context.overlap, keys=keys)

"""The passes of a step of TokenFlow; see :mod:`grainspec_runtime.processes.methods.tokenflow`.

Dimensions: P passes, F frames, K key frames, B frames of a batch, c channels, h rows and w columns
of latents, N tokens of a frame, C channels of a token, H heads, d head size.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from grainspec.model.numbers import first_steps
from grainspec.model.settings.method import KEY_FRAME_INTERVAL
from grainspec.model.spec import FrameScope, Inject, Method
from grainspec.plan.method_windows import at_once, batches
from grainspec_runtime.backbones.family import Checkpoint, SourceFeatures
from grainspec_runtime.modulation.layers import Attention, AttentionLayer
from grainspec_runtime.processes.denoiser import Predict
from grainspec_runtime.processes.methods.part_attention import part_attention
from grainspec_runtime.processes.methods.token_field import (
    Field,
    Neighbours,
    draw_key_frames,
    field_between,
    neighbours_of,
    propagated,
)
from grainspec_runtime.processes.methods.watched import Replaced, Watched
from grainspec_runtime.processes.process import Job


class _Moment(NamedTuple):
    """What the passes of a step share: the edit's latents ``[P, F, c, h, w]``, and when it is."""

    clip_PFchw: Tensor
    t: Tensor
    conditioning: Any
    step: int
    steps: int


@dataclass(frozen=True, kw_only=True)
class TokenFlowPredictor:
    """Predicts for the clip: for its key frames together, then for the others along their tokens.

    ``predict`` predicts for some frames. ``trajectory`` ``[steps + 1, F, c, h, w]`` is the source's
    inversion, ``source_conditioning`` the conditioning of its prompt.
    """

    predict: Predict
    checkpoint: Checkpoint
    job: Job
    method: Method
    inject: Inject
    features: SourceFeatures
    trajectory: Tensor
    source_conditioning: Any

    def __call__(
        self,
        x_PFchw: Tensor,
        t: Tensor,
        conditioning: Any,
        frames: Sequence[int],
        *,
        step: int,
        steps: int,
    ) -> Tensor:
        """Predict for all frames of the clip, float32 ``[P * F, c, h, w]``."""
        count, method = len(frames), self.method
        clip = x_PFchw.unflatten(0, (-1, count))
        moment = _Moment(clip, t, conditioning, step, steps)
        interval = method.interval or KEY_FRAME_INTERVAL
        keys = draw_key_frames(count, interval, seed=self.job.sampler.seed, step=step)
        others = [frame for frame in frames if frame not in keys]
        out = torch.empty_like(clip, dtype=torch.float32)
        source: dict[str, Tensor] = {}
        edited: dict[str, Tensor] = {}
        # Not compiled: each kind of pass, with its own number of frames, would be recompiled.
        with torch.compiler.set_stance("force_eager"):
            out[:, keys] = self._key_frames(keys, moment, source, edited)
            for window in batches(others, at_once(self.job.windows)):
                batch = list(window.frames)
                around = [neighbours_of(frame, keys, method.falloff) for frame in batch]
                out[:, batch] = self._between(batch, around, moment, source, edited)
        return out.flatten(0, 1)

    def _key_frames(
        self,
        keys: Sequence[int],
        moment: _Moment,
        source: dict[str, Tensor],
        edited: dict[str, Tensor],
    ) -> Tensor:
        """Predict for the key frames, ``[P, K, c, h, w]``; collect tokens by the layer's name.

        ``source`` receives ``[K, N, C]``, ``edited`` ``[P, K, H, N, d]``.
        """

        def see_source(layer: AttentionLayer, out_KHNd: Tensor) -> None:
            source[layer.name] = self._projected(layer, out_KHNd)

        def see_edited(layer: AttentionLayer, out: Tensor) -> None:
            edited[layer.name] = out.unflatten(0, (-1, len(keys)))

        return self._passes(
            keys,
            moment,
            Watched(self._attention(keys, "each"), see_source),
            Watched(self._attention(keys, "full", modulated=self.method.modulates), see_edited),
            queries=True,
        )

    def _between(
        self,
        batch: Sequence[int],
        around: Sequence[Neighbours],
        moment: _Moment,
        source: dict[str, Tensor],
        edited: dict[str, Tensor],
    ) -> Tensor:
        """Predict for other frames, ``[P, B, c, h, w]``, with the key frames' tokens."""
        fields: dict[str, Field] = {}

        def see_source(layer: AttentionLayer, out_BHNd: Tensor) -> None:
            tokens = self._projected(layer, out_BHNd)
            fields[layer.name] = field_between(tokens, source[layer.name], around)

        def tokens_of(layer: AttentionLayer) -> Tensor:
            return propagated(edited[layer.name], fields.pop(layer.name)).flatten(0, 1)

        words = self._attention(batch, "each", modulated=self.method.modulates)
        return self._passes(
            batch,
            moment,
            Watched(self._attention(batch, "each"), see_source),
            Replaced(words, tokens_of),
            queries=False,  # of no use: no attention is computed from them
        )

    def _passes(
        self,
        frames: Sequence[int],
        moment: _Moment,
        source: Attention,
        edit: Attention,
        *,
        queries: bool,
    ) -> Tensor:
        """Run the source's pass of some frames, then the edit's: ``[P, B, c, h, w]``.

        With ``queries`` the source's queries and keys are injected, besides its features.
        """
        clip_PFchw, t, conditioning, step, steps = moment
        kinds = {
            "residual": step < first_steps(self.inject.features, steps),
            "attention": queries and step < first_steps(self.inject.self_, steps),
        }
        predict = functools.partial(self.predict, frames=list(frames), step=step, steps=steps)
        at_source = self.trajectory[-1 - step, list(frames)].to(clip_PFchw.device)
        for attention in (source, edit):
            attention.begin_step(step, steps, float(t))
        try:
            with self.checkpoint.installed(source), self.features.storing(**kinds):
                predict(at_source, t, self.source_conditioning)
            with self.checkpoint.installed(edit), self.features.replacing(**kinds):
                out = predict(clip_PFchw[:, list(frames)].flatten(0, 1), t, conditioning)
        finally:
            self.features.clear()
        by_pass: Tensor = out.unflatten(0, (-1, len(frames)))
        return by_pass

    def _attention(
        self, frames: Sequence[int], scope: FrameScope, *, modulated: bool = False
    ) -> Attention:
        return part_attention(
            self.checkpoint,
            self.job.plan,
            frames,
            scope,
            modulated=modulated,
            backend=self.job.backend,
            norm="each",
        )

    def _projected(self, layer: AttentionLayer, out_BHNd: Tensor) -> Tensor:
        """Return a layer's output, ``[B, N, C]``, from that of its attention."""
        module: Any = self.checkpoint.denoiser.get_submodule(layer.name)
        projected: Tensor = module.to_out[0](out_BHNd.transpose(1, 2).flatten(2))
        return projected

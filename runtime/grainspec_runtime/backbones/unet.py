"""Install a mask plan in a stock ``UNet2DConditionModel``, and take it off again.

Frames are folded into the batch, as ``[passes * F, …]`` with the unconditional pass first, and the
UNet itself never knows. Only attention does: self-attention looks over the frames in scope, and in
the conditional pass both kinds of attention are modulated as the plan says.

Dimensions: P passes (1, or 2 with guidance), F frames, K key frames of a frame, N tokens of a
frame, H heads, d head size, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from torch import Tensor

from grainspec.diagnostics import fail
from grainspec.model.spec import FrameScope
from grainspec.plan.mask_plan import MaskPlan, PlanLevel, key_frames
from grainspec_runtime.attention import ClassOrder, modulated_attention
from grainspec_runtime.backbones.norms import HasFrames, norms_over_clip
from grainspec_runtime.backbones.paths import attend_along_paths
from grainspec_runtime.flow.trajectories import Trajectories


@dataclass(frozen=True)
class _LevelTensors:
    """A plan's level on the device: labels ``[F, N]``, strengths ``[F, C]`` at full schedule."""

    labels_FN: Tensor
    cross_attract_FC: Tensor
    cross_repel_FC: Tensor
    self_attract_FC: Tensor
    self_repel_FC: Tensor
    # Sorted by class once for all layers and steps, where the backend walks them so.
    self_order: ClassOrder | None = None
    cross_order: ClassOrder | None = None


class AttentionControl:
    """What the attention layers need to know of the step they are in.

    The sampling loop calls :meth:`begin_step` before every forward pass; without a plan, or past
    the modulated steps, attention only looks across frames. ``norm`` says whether group norms take
    their statistics from each frame or over the clip, at all steps.
    """

    def __init__(
        self,
        frames: int,
        *,
        plan: MaskPlan | None = None,
        scope: FrameScope = "full",
        norm: Literal["each", "clip"] = "each",
        backend: str = "auto",
        device: torch.device | str = "cpu",
        paths: Mapping[int, Trajectories] | None = None,
    ) -> None:
        self.frames = frames
        self.norm = norm
        self.backend = backend
        self.full = scope == "full"
        self.key_frames_FK = torch.from_numpy(key_frames(scope, frames)).to(device)
        self._plan = plan
        self._levels: dict[int, _LevelTensors] = {}
        self._paths = {  # of flow-guided attention, by the number of a level's tokens
            tokens: tuple(torch.from_numpy(table).to(device) for table in found.by_length_TL)
            for tokens, found in (paths or {}).items()
        }
        self._relations: tuple[Tensor, Tensor] | None = None
        self._soft_T: Tensor | None = None  # words that push by a share only
        self._soft_share = 1.0
        self._active = False
        # A tensor, so that a compiled UNet is not compiled anew for every step.
        self._share = torch.zeros((), device=device)
        if plan is not None:
            if len(plan.frames) != frames:
                message = f"the plan is for {len(plan.frames)} frames, the clip has {frames}"
                raise fail("G404", message, "Compile the plan for this clip.")
            self._relations = (
                torch.from_numpy(plan.self_relation_CC).to(device),
                torch.from_numpy(plan.cross_relation_CT).to(device),
            )
            if plan.attention.unbound < 1:
                self._soft_T = torch.from_numpy(plan.repel_shares_T < 1).to(device)
                self._soft_share = plan.attention.unbound
            for level in plan.levels:
                if level.modulated:
                    tensors = _to_device(level, device)
                    if backend == "triton" or torch.device(device).type == "cuda":
                        tensors = self._sorted(tensors)
                    self._levels[level.tokens] = tensors

    def begin_step(self, step: int, steps: int, timestep: float) -> None:
        """Set the share ξ(t) of the modulation for sampling step ``step`` of ``steps``."""
        plan = self._plan
        active = plan is not None and plan.is_active(step, steps, timestep)
        share = plan.schedule(timestep) if plan is not None and active else 0.0
        self._active = share > 0
        self._share.fill_(share)

    def attend_to_frames(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Self-attention over the frames in scope; all ``[P * F, H, N, d]``."""
        tokens = query.shape[2]
        level = self._levels.get(tokens) if self._active else None
        q, k, v = (self._by_pass(tensor) for tensor in (query, key, value))
        passes = len(q)
        out = torch.empty_like(q)
        for index in range(passes):
            conditional = index == passes - 1
            qi, ki, vi = self._in_scope(q[index], k[index], v[index])
            if conditional and level is not None:
                assert self._relations is not None
                labels, keys = self._labels(level)
                attract = self._strength(level.self_attract_FC, level.labels_FN).view_as(labels)
                repel = self._strength(level.self_repel_FC, level.labels_FN).view_as(labels)
                part = modulated_attention(
                    qi,
                    ki,
                    vi,
                    query_labels=labels,
                    key_labels=keys,
                    relation=self._relations[0],
                    attract=attract,
                    repel=repel,
                    backend=self.backend,
                    order=level.self_order,
                )
            else:
                part = F.scaled_dot_product_attention(qi, ki, vi)
            if self.full:  # [1, H, F * N, d] to [F, H, N, d]
                part = part.unflatten(2, (self.frames, tokens))[0].transpose(0, 1)
            if tokens in self._paths:
                part = attend_along_paths(q[index], k[index], part, self._paths[tokens])
            out[index] = part
        return out.flatten(0, 1)

    def attend_to_words(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Cross-attention; query ``[P * F, H, N, d]``, key and value ``[P * F, H, T, d]``."""
        level = self._levels.get(query.shape[2]) if self._active else None
        if level is None:
            return F.scaled_dot_product_attention(query, key, value)
        assert self._relations is not None
        relation = self._relations[1]
        first = len(query) - self.frames  # where the conditional pass begins
        if key.shape[2] != relation.shape[1]:
            message = (
                f"the plan is for {relation.shape[1]} text tokens, the model got {key.shape[2]}"
            )
            raise fail("G404", message, "Compile the plan for this model.")
        part = modulated_attention(
            query[first:],
            key[first:],
            value[first:],
            query_labels=level.labels_FN,
            key_labels=torch.arange(key.shape[2], device=key.device),
            relation=relation,
            attract=self._strength(level.cross_attract_FC, level.labels_FN),
            repel=self._strength(level.cross_repel_FC, level.labels_FN),
            soft=self._soft_T,
            soft_share=self._soft_share,
            backend=self.backend,
            order=level.cross_order,
        )
        if not first:
            return part
        plain = F.scaled_dot_product_attention(query[:first], key[:first], value[:first])
        return torch.cat([plain, part])

    def _labels(self, level: _LevelTensors) -> tuple[Tensor, Tensor]:
        """Labels of queries and keys in self-attention: of one long sequence, or per frame."""
        labels = level.labels_FN
        if self.full:
            return labels.reshape(1, -1), labels.reshape(1, -1)
        return labels, labels[self.key_frames_FK].flatten(1)

    def _sorted(self, level: _LevelTensors) -> _LevelTensors:
        assert self._relations is not None
        to_self, to_words = self._relations
        words = torch.arange(to_words.shape[1], device=to_words.device)
        return replace(
            level,
            self_order=ClassOrder.of(*self._labels(level), to_self),
            cross_order=ClassOrder.of(
                level.labels_FN, words.expand(len(level.labels_FN), -1), to_words, self._soft_T
            ),
        )

    def _by_pass(self, tensor: Tensor) -> Tensor:
        return tensor.unflatten(0, (-1, self.frames))

    def _in_scope(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keys of the frames in scope: one long sequence, or one per frame."""
        if self.full:  # [F, H, N, d] to [1, H, F * N, d]
            return tuple(t.transpose(0, 1).flatten(1, 2)[None] for t in (q, k, v))  # type: ignore[return-value]
        gathered = [
            t[self.key_frames_FK].transpose(1, 2).flatten(2, 3)  # [F, K, H, N, d] to [F, H, K*N, d]
            for t in (k, v)
        ]
        return q, gathered[0], gathered[1]

    def _strength(self, table_FC: Tensor, labels_FN: Tensor) -> Tensor:
        """λ of every token at this step, ``[F, N]``."""
        return (table_FC.gather(1, labels_FN) * self._share).clamp_(max=1.0)


def _to_device(level: PlanLevel, device: torch.device | str) -> _LevelTensors:
    frames = len(level.labels_FHW)
    labels = torch.from_numpy(level.labels_FHW.reshape(frames, -1).astype("int64"))
    tables = (
        level.cross_attract_FC,
        level.cross_repel_FC,
        level.self_attract_FC,
        level.self_repel_FC,
    )
    return _LevelTensors(labels.to(device), *(torch.from_numpy(t).to(device) for t in tables))


class Attending(HasFrames, Protocol):
    """What processors and norms ask: an :class:`AttentionControl`, or what stands for several."""

    norm: Literal["each", "clip"]

    def attend_to_frames(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Self-attention."""

    def attend_to_words(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Cross-attention."""


class _PlannedProcessor:
    """A diffusers attention processor that leaves all decisions to a control."""

    def __init__(self, control: Attending, *, to_words: bool) -> None:
        self.control = control
        self.to_words = to_words

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        if encoder_hidden_states is not None and attn.norm_cross:
            context = attn.norm_encoder_hidden_states(context)
        query, key, value = (
            projected.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for projected in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context))
        )
        attend = self.control.attend_to_words if self.to_words else self.control.attend_to_frames
        out = attend(query, key, value).transpose(1, 2).flatten(2)
        return attn.to_out[1](attn.to_out[0](out))


@contextmanager
def installed(unet: UNet2DConditionModel, control: Attending) -> Iterator[None]:
    """Let ``control`` decide all attention of ``unet`` inside the block, and where it norms.

    The UNet's own processors and norms come back at the end, whatever is raised inside.
    """
    before = unet.attn_processors
    planned = {name: _PlannedProcessor(control, to_words=".attn2." in name) for name in before}
    try:
        unet.set_attn_processor(dict(planned))
        with ExitStack() as stack:
            if control.norm == "clip":
                stack.enter_context(norms_over_clip(unet, control))
            yield
    finally:
        unet.set_attn_processor(dict(before))

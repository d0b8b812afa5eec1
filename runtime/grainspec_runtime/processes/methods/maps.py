"""What FateZero and Video-P2P share: sampling with the attention maps of the source clip.

The maps of a step are those of a pass over the source's latents of the inversion at the same
timestep, with the source prompt (see :mod:`grainspec_runtime.processes.inject`, which says why they
are not recorded during the inversion). The pass runs before the edit's, and only in steps that use
it. A compiled denoiser runs uncompiled.

The target prompt is encoded as a whole. Of the plan only the regions and the edits' words and
weights are used, not the strengths, the schedule or the isolated phrases.

Dimensions: F latent frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from grainspec.diagnostics import Diagnostic
from grainspec.model.settings.method import Method, method_of
from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.windows import FrameWindow, plan_of_frames
from grainspec.prompt_alignment import PromptAlignment
from grainspec_runtime.modulation.attention_maps import MapAttention, MapSettings, SelfMask
from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.modulation.windowed import WindowedAttention, clip_attention
from grainspec_runtime.processes.denoiser import Predict
from grainspec_runtime.processes.invert_and_sample import InvertAndSample
from grainspec_runtime.processes.methods.word_masks import (
    Coverage,
    LocalBlend,
    RegionMask,
    SourceWordMask,
    grids_of,
)
from grainspec_runtime.processes.process import Job, Sampled, Stage, State, Warn
from grainspec_runtime.processes.sample import sample, solved

REWEIGHTED = (
    "The published code re-weights words only in the steps of `cross_steps`; here they are "
    "re-weighted in all steps, because Prompt-to-Prompt's equation has no end."
)
"""A departure of both methods."""


@dataclass(frozen=True, kw_only=True)
class SourceMapPredictor:
    """Predicts with the maps of the source clip; ``predict`` is the prediction without them.

    ``attention`` is installed in the checkpoint. ``trajectory`` ``[steps + 1, F, c, h, w]`` is the
    source's inversion, ``source_conditioning`` the conditioning of its prompt.
    """

    predict: Predict
    attention: Attention
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
        """Predict as ``predict`` does, with the source's maps of the same frames.

        ControlNets receive the source clip's control images in both passes.
        """
        attention = self.attention
        if isinstance(attention, WindowedAttention):
            attention = attention.current
        assert isinstance(attention, MapAttention)
        source = self.trajectory[-1 - step, list(frames)].to(x_PFchw.device)
        # Not compiled: what a layer computes differs between passes and steps.
        with torch.compiler.set_stance("force_eager"):
            try:
                if attention.needs_source:
                    with attention.reading_source():
                        self.predict(
                            source, t, self.source_conditioning, frames, step=step, steps=steps
                        )
                return self.predict(x_PFchw, t, conditioning, frames, step=step, steps=steps)
            finally:
                attention.clear()


class MapProcess(InvertAndSample):
    """Samples from the clip's noise with attention maps of the source; see :class:`Process`."""

    masks_self: ClassVar[bool]
    """Whether self-attention where the edit is, by its words or regions, is the edit's own."""
    cross_grid: ClassVar[int | None]
    """See :class:`MapSettings`."""
    local_blend_until: ClassVar[float] = 1.0
    """Share of the steps after which latents are not blended by words any more."""

    def run(
        self,
        job: Job,
        attention: Callable[[], Attention],
        *,
        stage: Stage,
        begin: tuple[int, State] | None,
        keep: Callable[[int, State], None],
        warn: Warn,
    ) -> Sampled:
        """Invert the clip, or use its cached inversion, and sample with the source's maps.

        ``attention`` is not used: no attention is modulated.
        """
        with stage("invert", job.variant) as progress:
            # all prompts before the denoiser runs: a text encoder may be deleted then
            texts = (job.negative, job.plan.target, job.source)
            *prompts, source = (self.checkpoint.encode_prompt(text) for text in texts)
            trajectory, cached = self.inversions.of(job, progress, warn)
        self_masks, blended = Coverage(), Coverage()
        swapped = self._attention(job, self_masks)
        blend = self._local_blend(job, swapped, trajectory, blended)
        if blend is not None and begin is not None:
            blend.restore(begin[1])
        predictor = SourceMapPredictor(
            predict=self.denoiser.predict,
            attention=swapped,
            trajectory=trajectory,
            source_conditioning=self.checkpoint.condition([source], trajectory[-1]),
        )
        with stage("sample", job.variant) as progress:
            latents = sample(
                replace(self.denoiser, predictor=predictor),
                trajectory,
                swapped,
                prompts,
                scheduler=self.solver(job),
                guidance=functools.partial(self.checkpoint.guidance_at, job.sampler),
                edited_F1hw=job.edited_F1hw,
                blend_from=job.blend_from,
                eta=job.sampler.eta,
                seed=job.sampler.seed,
                after_step=blend or solved,
                progress=progress,
                begin=begin,
                keep=lambda done, state: keep(done, {**state, **(blend.state() if blend else {})}),
            )
        for coverage, without in ((self_masks, _NO_SELF_MAPS), (blended, _NO_LOCAL_BLEND)):
            if begin is None and coverage.is_all:
                warn(_covers_all(method_of(job), without))
        return Sampled(latents, cached)

    def _attention(self, job: Job, coverage: Coverage) -> Attention:
        settings = self._settings(job)

        def of_window(window: FrameWindow) -> Attention:
            plain = self.checkpoint.attention(len(window.frames), job.plan.attention)
            attention = MapAttention(plain, settings)
            if self.masks_self:
                plan = plan_of_frames(job.plan, window.frames)
                attention.self_mask = self._self_mask(attention, plan, method_of(job), coverage)
            return attention

        return clip_attention(job.windows, of_window, device=self.checkpoint.device)

    def _self_mask(
        self, attention: MapAttention, plan: MaskPlan, method: Method, coverage: Coverage
    ) -> SelfMask:
        """Return the mask of self-attention: the edited regions, or the edited words'."""
        if method.modulates:
            return RegionMask(plan, self.checkpoint.device)
        return SourceWordMask(attention, grids_of(plan), method.mask_threshold, coverage)

    def _settings(self, job: Job) -> MapSettings:
        method, alignment, device = method_of(job), alignment_of(job), self.checkpoint.device
        maps, edited = method.source_maps, edited_words(job.plan)
        mapping_ST = alignment.mapping_ST(replace=maps.words == "replace")
        blends = maps.local_blend < 1 and not method.modulates
        masks = self.masks_self and not method.modulates
        return MapSettings(
            mapping_ST=torch.from_numpy(mapping_ST).to(device),
            weights_T=word_weights(job.plan, method.reweight).to(device),
            cross=maps.cross_steps,
            self_=maps.self_steps,
            cross_grid=self.cross_grid,
            source_words=alignment.sources(edited) if blends or masks else (),
            words=edited if blends else (),
        )

    def _local_blend(
        self, job: Job, attention: Attention, trajectory: Tensor, coverage: Coverage
    ) -> LocalBlend | None:
        """Return the blending of latents by words, or by regions; None for none."""
        method = method_of(job)
        start = method.source_maps.local_blend
        if start == 1:
            return None
        edited_F1hw = torch.from_numpy(job.plan.edited_FHW)[:, None].float()
        return LocalBlend(
            attention,
            trajectory,
            grids_of(job.plan),
            share=method.mask_threshold,
            start=start,
            until=self.local_blend_until,
            region_F1hw=edited_F1hw if method.modulates else None,
            ranks=self.denoiser.ranks,
            coverage=coverage,
        )


_NO_SELF_MAPS = "no self-attention was the source's"
_NO_LOCAL_BLEND = "`local_blend` restored nothing"


def _covers_all(method: Method, effect: str) -> Diagnostic:
    """Warn (G589) that masks of words covered the frame in every step, with what that means."""
    share = f"{method.mask_threshold:.0%}"
    message = f"attention to the words of edits was above {share} of its maximum on the whole "
    message += f"frame, in every step of `method {method.name}`: {effect}"
    cure = "Write a larger `mask_threshold`, or `regions attention`."
    return Diagnostic("G589", message, cure, method.span_of("mask_threshold") or method.span)


def alignment_of(job: Job) -> PromptAlignment:
    """Return the alignment of a job's prompts."""
    assert job.alignment is not None
    return job.alignment


def edited_words(plan: MaskPlan) -> list[int]:
    """Return the text tokens of the target that any edit binds."""
    return sorted({token for edit in plan.edits for tokens in edit.tokens for token in tokens})


def word_weights(plan: MaskPlan, factor: float) -> Tensor:
    """Return w, the weight of each text token of the target, float32 ``[T]``.

    It is ``factor`` times the edit's weight for the words of an edit, and 1 for all others.
    """
    weights_T = torch.ones(plan.words_ET.shape[1])
    for edit in plan.edits:
        for tokens in edit.tokens:
            weights_T[list(tokens)] = factor * edit.weight
    return weights_T

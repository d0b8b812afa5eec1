"""Ground-A-Video: editing grounded by boxes (Jeong and Ye, ICLR 2024, arXiv 2310.01107).

Every frame is inverted by itself. The noise of places that do not move is shared along time
(:mod:`.shared_noise`). For each frame, null-text optimisation finds unconditional embeddings that
lead guided sampling back to the frame (:mod:`.null_text`). Sampling with the target prompt attends
to all frames in self-attention; its unconditional pass attends to the null embeddings of all frames
(:mod:`.grounding`); its conditional pass is grounded by the boxes of the edits, the tight boxes of
their regions on every frame:

- In a checkpoint with gated layers (GLIGEN), these attend to phrases and boxes, across frames
  (:mod:`grainspec_runtime.backbones.unets.gated`).
- In one without, such as Stable Diffusion's own, the words of an edit are attended inside its box
  only (:mod:`.boxed_words`). That is a restriction in place of a trained layer: it says where the
  words may act, not that an object fills its box.

ControlNets of the spec, such as `control zoe` (ZoeDepth, the paper's), act in sampling only.

Constants of the paper's code: still below 0.2 of a pair's largest flow; one update of null-text
optimisation a step (its command line leaves the optimisation out: `null_updates 0`); grounding at
all steps.

`regions` decides about boxes: `off` and `blend` leave grounding out, which the paper always has. A
`flow` statement's attention along paths is left out.

Where this differs from the paper: :attr:`GroundAVideo.departures`.

With the source prompt as target and no guidance, the source comes back as from plain sampling, but
for two things (numbers of four frames on the demo model in ten steps; plain sampling 41.5 dB):

- Sampling attends to all frames, and the inversion to each by itself: 41.1 dB.
- A still place has the noise of an earlier frame, which leads back to that frame. z'_n is z_n only
  where the flow from n − 1 to n is large, at the places where it begins; a figure that moves into a
  still place changes it all the same. With `still 20%` 24.1 dB are left, and 38.2 dB if all places
  that change kept their own noise. That is the paper's equation; `still 0%` is without it.

Null-text optimisation has no part in this: at guidance 1 the unconditional pass cancels, and the
null embeddings are the negative prompt's, without a pass.

A run stores the trajectory and the null embeddings of all steps (:mod:`.null_text`), a step nothing
else. A resumed run finds the same embeddings again.

Dimensions: F frames, c channels, h rows and w columns of latents, E edits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from grainspec.model.settings.method import method_of
from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.windows import plan_of_frames
from grainspec_runtime.backbones.unets.gated import GatedObjects, gated_objects
from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.modulation.windowed import clip_attention
from grainspec_runtime.processes.denoiser import Denoiser
from grainspec_runtime.processes.inversions import unmodulated
from grainspec_runtime.processes.methods.boxed_words import BoxedWords
from grainspec_runtime.processes.methods.boxes import boxes_of
from grainspec_runtime.processes.methods.grounding import GroundedPredictor
from grainspec_runtime.processes.methods.null_text import TEXT, NullText
from grainspec_runtime.processes.methods.shared_noise import magnitudes, shared_noise
from grainspec_runtime.processes.process import Job, Progress, Sampled, Stage, State, Warn
from grainspec_runtime.processes.sample import sample
from grainspec_runtime.processes.with_inversion import OF_INVERSION, WithInversion


class GroundAVideo(WithInversion):
    """Ground-A-Video of one clip's latents ``[F, c, h, w]``; see :class:`Process`."""

    departures: ClassVar[tuple[str, ...]] = (
        "The paper grounds edits by trained gated layers; here, in a checkpoint without them, the "
        "words of an edit are attended inside its box only, because nothing is trained: it says "
        "where words may act, not that an object fills its box.",
        "The paper's gated layers are those of a checkpoint for inpainting; here they are those of "
        "one for text and boxes, because an inpainting UNet has other inputs.",
        "The paper keeps the clip outside of all boxes by newly noised source latents; here "
        "`regions blend` keeps it outside of the edited regions by the inversion's latents, "
        "because these lead back to the source exactly.",
        "The paper grounds the inversion in phrases of the source; here it is not grounded, "
        "because a spec has no phrases of the source.",
        "The paper's inversion has an empty prompt; here it has `source`, because the other "
        "methods have it, too.",
        "The paper inverts in 20 steps, samples in 50, and gives the null embeddings to the first "
        "20; here inversion and sampling have the same steps, because only then a null embedding "
        "belongs to the timestep that it was found at.",
        "The published code's learning rate of null-text optimisation falls to 0.81 of its value "
        "in 20 steps; here it falls to a half, because that is what it does in the 50 steps of "
        "null-text inversion.",
        "In the published code ControlNets attend to all frames; here they see each frame alone, "
        "because stock ControlNets run on images.",
        "The published code adds words about quality to the prompt, a long negative prompt and a "
        "guidance of 12.5; here prompts and guidance are the spec's, because all methods are "
        "compared with the same.",
        "The paper's optical flow is RAFT's; here it is that of the `flow` statement, by default "
        "DIS, because that needs no weights.",
        OF_INVERSION,
    )

    def inverting(self, denoiser: Denoiser) -> Denoiser:
        """Return the denoiser without controls."""
        return replace(denoiser, controls=None)

    def inverted(self, job: Job) -> Job:
        """Return a job whose unmodulated passes see each frame alone."""
        return _with_scope(job, each=True)

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
        """Invert every frame, share noise, and sample with grounding."""
        checkpoint, method = self.checkpoint, method_of(job)
        with stage("invert", job.variant) as progress:
            # all prompts before the denoiser runs: a text encoder may be deleted then
            negative, source = map(checkpoint.encode_prompt, (job.negative, job.source))
            target = checkpoint.encode_target(job.plan)
            objects = _objects(checkpoint, job.plan) if method.modulates else None
            trajectory, cached = self.inversions.of(self.inverted(job), progress, warn)
        like = trajectory[-1]
        inputs = [checkpoint.condition([one], like) for one in (negative, source, target)]
        null = None
        if method.null_updates and job.sampler.guidance == 1:
            # every gradient is 0; as many tokens as with guidance, which round differently
            words_1TC = inputs[0][TEXT].cpu()
            null = words_1TC.expand(len(trajectory) - 1, like.shape[0], -1, -1)
        elif method.null_updates:
            with stage("null text", job.variant) as progress:
                null = self._null_text(job, trajectory, inputs[0], inputs[1], progress)
        predictor = GroundedPredictor(
            predict=self.denoiser.predict,
            checkpoint=checkpoint,
            plain=unmodulated(_with_scope(job, each=False), self.denoiser),
            negative=inputs[0],
            target=inputs[2],
            null_SFTC=null,
            objects=objects,
            share=method.grounded,
        )
        with stage("sample", job.variant) as progress:
            latents = sample(
                replace(self.denoiser, predictor=predictor),
                trajectory,
                self._attention(job, boxed=method.modulates and objects is None),
                [negative, target],
                scheduler=self.solver(job),
                guidance=functools.partial(checkpoint.guidance_at, job.sampler),
                edited_F1hw=job.edited_F1hw,
                blend_from=job.blend_from,
                eta=job.sampler.eta,
                seed=job.sampler.seed,
                start_Fchw=_start(job, like).to(checkpoint.device),
                progress=progress,
                begin=begin,
                keep=keep,
            )
        return Sampled(latents, cached)

    def _null_text(
        self,
        job: Job,
        trajectory: Tensor,
        negative: dict[str, Any],
        source: dict[str, Any],
        progress: Progress,
    ) -> Tensor:
        """Return the unconditional embeddings of every step and frame."""
        settings = _with_scope(job, each=True).plan.attention
        nulls = NullText(
            denoiser=self.inverter,
            attention=self.checkpoint.attention(1, settings),
            negative=negative,
            source=source,
            guidance=job.sampler.guidance,
            updates=method_of(job).null_updates,
        )
        return nulls.embeddings(trajectory, self.solver(job), progress)

    def _attention(self, job: Job, *, boxed: bool) -> Attention:
        """Return the conditional pass's attention: over all frames, its words in boxes."""
        checkpoint = self.checkpoint
        job = _with_scope(job, each=False)
        if not boxed:
            return unmodulated(job, self.denoiser)

        def of_window(window: Any) -> Attention:
            plan = plan_of_frames(job.plan, window.frames)
            base = checkpoint.attention(len(window.frames), plan.attention)
            return BoxedWords(base, plan, boxes_of(plan), method_of(job).grounded)

        return clip_attention(job.windows, of_window, device=checkpoint.device)


def _start(job: Job, noise_Fchw: Tensor) -> Tensor:
    """Return the inverted noise with what does not move sharing it."""
    assert job.motion is not None
    rows, columns = noise_Fchw.shape[-2:]
    moved = magnitudes(job.motion, (rows, columns))
    return shared_noise(noise_Fchw, moved, method_of(job).still)


def _objects(checkpoint: object, plan: MaskPlan) -> GatedObjects | None:
    """Return the objects for a checkpoint's gated layers: every edit that has words."""
    boxes = boxes_of(plan)
    worded = [index for index, edit in enumerate(plan.edits) if edit.tokens]
    if not worded:
        return None
    return gated_objects(
        checkpoint,
        [plan.edits[index].phrase for index in worded],
        torch.from_numpy(boxes.corners_FE4[:, worded]),
        torch.from_numpy(boxes.present_FE[:, worded]),
    )


def _with_scope(job: Job, *, each: bool) -> Job:
    """Return the job with attention inside each frame, or over all frames; norms of a frame too."""
    settings = job.plan.attention
    changes = {"frames": "each", "norm": "each"} if each else {"frames": "full"}
    plan = replace(job.plan, attention=settings.replaced({}, **changes), _cache={})
    return replace(job, plan=plan)

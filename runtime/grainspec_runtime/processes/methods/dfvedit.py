"""DFVEdit (Cai et al., arXiv 2506.20967): the clip moves along the conditional delta flow vector.

With the source clip X, the edit Z, which begins as X, and noise N, each step from the noise level σ
to σ' is

    Zs = (1 − σ) X + σ N                      the source at this noise level
    Zt = (1 − σ) Z + σ N                      the edit at this noise level
    Z ← Z + (σ' − σ) · m · [ v(Zt, target) − v(Zs, source) ]

with the velocities v of guided passes. The bracket is the conditional delta flow vector. It is that
of :mod:`grainspec_runtime.processes.flow_edit` but for Zt: noise hides a share σ of the change so
far, which FlowEdit adds whole at every noise level. If both velocities are the same, Z stays X, bit
for bit. The first step, from pure noise, is not taken. The released code has 50 steps and guidance
of 5 for the source and 15 for the target.

- Embedding Reinforcement: the embeddings of the edits' words in the target prompt are multiplied by
  ``reinforce``, since text counts less in longer clips. 2 is the factor of the released example.
- Implicit Cross Attention guidance: m is 1 where the target's conditional pass attends to the
  edits' words (:mod:`grainspec_runtime.processes.word_maps`) more than ``word_mask``, 0 elsewhere.
  Where the spec's regions are blended they are m, as masks of SAM are in the paper.

The threshold is that with which the released code makes given masks binary; each step's mask is of
that step alone. With `regions` in attention, the target's conditional pass runs under the plan.

What differs from the publication, as far as its code and reviews tell:
:attr:`DFVEdit.departures`.

A step stores what FlowEdit's does, and one map of the clip's latent tokens.

Dimensions: F latent frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor

from grainspec.model.settings.method import EditingName, method_of
from grainspec.plan.backbone import skipped_steps
from grainspec_runtime.modulation.layers import Attention
from grainspec_runtime.processes.flow_edit import flow_edit
from grainspec_runtime.processes.guided import Guided
from grainspec_runtime.processes.inversions import unmodulated
from grainspec_runtime.processes.process import Job, Sampled, Stage, State, Warn
from grainspec_runtime.processes.without_inversion import WithoutInversion
from grainspec_runtime.processes.word_maps import WordMaps, with_maps
from grainspec_runtime.schedules.schedule import Rates

Narrowed = Callable[[Tensor], Tensor]
"""Makes a part of a change ``[F, c, h, w]`` of it."""


class DFVEdit(WithoutInversion):
    """DFVEdit of one clip's latents ``[F, c, h, w]``; see :class:`Process`."""

    departures: ClassVar[tuple[str, ...]] = (
        "The released code multiplies the embeddings of words in the source prompt; here those of "
        "the edits' words in the target prompt are multiplied, because the paper speaks of these.",
        "The released code takes masks that are given and computes none from attention; here they "
        "are computed, by our reading of the paper, because Implicit Cross Attention guidance is "
        "part of it.",
        "The released code applies a mask only after a number of steps; here it applies in all "
        "steps, because what is outside of it is then the source, bit for bit.",
        "The released code has a long negative prompt about quality; here it is the spec's, "
        "because all methods are compared with the same.",
        "The released code has a guidance of 15 for the target and 5 for the source; here they are "
        "the spec's, by default 7.5 and 5, because all methods have the same `sampler`.",
        "The paper takes maps from the full attention of CogVideoX; here they are those of Wan's "
        "cross-attention, because the supported models attend to text there.",
        "The paper also edits with models of DDPM's noise, such as CogVideoX; here models of flow "
        "matching only are supported, because the delta flow vector is written for their velocity.",
    )
    name: ClassVar[EditingName] = "dfvedit"
    version: ClassVar[int] = 1

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
        """Move the clip along the conditional delta flow vector."""
        checkpoint, denoiser, latents = self.checkpoint, self.denoiser, self.latents
        method = method_of(job)
        with stage("edit", job.variant) as progress:
            negative = checkpoint.encode_prompt(job.negative)
            source = checkpoint.encode_prompt(job.source)
            target = checkpoint.encode_target(job.plan, emphasis=method.reinforce)
            of_target = attention()
            narrowed: Narrowed = _whole
            if method.word_mask and not method.blends:
                maps = WordMaps(job.plan, checkpoint.device)
                of_target = with_maps(of_target, maps, checkpoint.device)
                narrowed = _within(maps, method.word_mask)
            edited = flow_edit(
                Guided(denoiser, unmodulated(job, denoiser), negative, source, latents),
                Guided(denoiser, of_target, negative, target, latents),
                latents,
                scheduler=checkpoint.schedule.solver(job.sampler, checkpoint.device),
                sampler=job.sampler.replaced({}, average=1, amplify=0.0),
                skipped=skipped_steps(job.sampler, "dfvedit"),
                edited_F1hw=job.edited_F1hw,
                at_target=noised,
                narrowed=narrowed,
                progress=progress,
                begin=begin,
                keep=keep,
            )
        return Sampled(edited, reused=False)


def noised(z: Tensor, x: Tensor, at_source: Tensor, noise: Tensor, rates: Rates) -> Tensor:
    """(1 − σ) Z + σ N: the edit, with the source's noise."""
    return rates.signal * z + rates.noise * noise


def _whole(change_Fchw: Tensor) -> Tensor:
    return change_Fchw


def _within(maps: WordMaps, threshold: float) -> Narrowed:
    """Keep a change where the maps of the passes before it reach the threshold."""

    def narrowed(change_Fchw: Tensor) -> Tensor:
        return change_Fchw * (maps.take() >= threshold)

    return narrowed

"""A loaded Wan checkpoint (2.1, 2.2, VACE, image to video), as a stock pipeline.

Dimensions: P passes, F latent frames, c channels, h rows and w columns of latents.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from grainspec.diagnostics import Diagnostic, fail
from grainspec.model.spec import Control, FreeU, Inject, Modulation, Sampler
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.backbones.emphasis import emphasised
from grainspec_runtime.backbones.families.wan import latents as clips
from grainspec_runtime.backbones.families.wan.experts import Experts
from grainspec_runtime.backbones.families.wan.image import ImageInputs
from grainspec_runtime.backbones.families.wan.inputs import TextInputs
from grainspec_runtime.backbones.families.wan.install import installed
from grainspec_runtime.backbones.families.wan.memory import WanMemory
from grainspec_runtime.backbones.families.wan.offload import Using
from grainspec_runtime.backbones.families.wan.parallel import divided
from grainspec_runtime.backbones.families.wan.prompts import (
    EncodedPrompt,
    TextEncoder,
    encode_target,
)
from grainspec_runtime.backbones.families.wan.vace import VaceControls, VaceInputs
from grainspec_runtime.backbones.family import SourceFeatures
from grainspec_runtime.flow.trajectories import Trajectories
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.modulation.clip import ClipAttention
from grainspec_runtime.modulation.divided import DividedAttention
from grainspec_runtime.modulation.layers import Attention, AttentionRecorder, CrossAttentionRule
from grainspec_runtime.modulation.part import Division
from grainspec_runtime.modulation.parts import Parts
from grainspec_runtime.schedules.flow_matching import FlowSchedule

_INPUTS = {"WanVACEPipeline": VaceInputs, "WanImageToVideoPipeline": ImageInputs}


class Wan:
    """A frozen Wan checkpoint, as a stock pipeline.

    It runs on ``device`` in ``dtype``; the VAE has full precision. The text encoder is loaded where
    prompts are encoded. VACE and image-to-video models also get the clip, or an image of it, that
    :meth:`begin_clip` was last called with. The members are those of
    :class:`grainspec_runtime.backbones.family.Checkpoint`.
    """

    file: Path | None = None

    def __init__(
        self,
        *,
        name: str,
        folder: Path,
        pipe: Any,
        device: torch.device,
        dtype: torch.dtype,
        text: TextEncoder,
        using: Using,
        memory: WanMemory,
        findings: Sequence[Diagnostic] = (),
        shared: Parts | None = None,
    ) -> None:
        self.name, self.folder = name, folder
        self.pipe = pipe
        self.device, self.dtype = device, dtype
        self.text = text
        self.memory = memory
        self.findings = tuple(findings)
        self.experts = Experts(pipe, changed=pipe.maybe_free_model_hooks)
        self._inputs = _INPUTS.get(type(pipe).__name__, TextInputs)(pipe, device, dtype, using)
        self._using = using
        self._shared = shared
        self._attention: Attention | None = None

    @property
    def denoiser(self) -> torch.nn.Module:
        """The transformer, or both experts."""
        return self.experts.module

    @property
    def division(self) -> Division | None:
        """How its processes share self-attention; None if there is one."""
        return None if self._shared is None else self._shared.division

    @property
    def schedule(self) -> FlowSchedule:
        """The noise schedule."""
        return FlowSchedule(self.pipe.scheduler)

    def encode_prompt(self, text: str) -> EncodedPrompt:
        """Encode a prompt for the transformers."""
        return self.text.encode(text)

    def encode_target(self, plan: MaskPlan, *, emphasis: float = 1.0) -> EncodedPrompt:
        """Encode a plan's target prompt, with isolated phrases if the plan isolates them."""
        target = encode_target(plan, self.text.encode)
        return replace(target, words=emphasised(target.words, plan, emphasis))

    def encode_unconditional(self, negative: str, plan: MaskPlan) -> EncodedPrompt:
        """Encode the prompt of the unconditional pass under a plan."""
        return self.text.encode("" if plan.attention.unconditional == "empty_prompt" else negative)

    def begin_clip(self, frames: Frames) -> None:
        """Use the clip's first frame as the image condition of image-to-video models."""
        self.text.leave_device()
        self._inputs.begin(frames)

    def encode_clip(self, frames: Frames) -> Tensor:
        """Encode frames, uint8 ``[frames, H, W, 3]``, to latents, float32 ``[F, c, h, w]``.

        Raises GrainError (G505) for NaN or infinity.
        """
        self.text.leave_device()
        with self._using("vae"):
            return clips.encode_clip(self.pipe.vae, frames, self.device)

    def decode_clip(self, latents_Fchw: Tensor) -> Frames:
        """Decode latents to frames, uint8 ``[frames, H, W, 3]``; raises G505 for NaN.

        Processes that share a clip decode the first one's latents.
        """
        self.text.leave_device()
        if self._shared is not None:
            latents_Fchw = self._shared.same(latents_Fchw.to(self.device))
        with self._using("vae"):
            return clips.decode_clip(self.pipe.vae, latents_Fchw, self.device)

    def condition(
        self, prompts: Sequence[EncodedPrompt], latents_Fchw: Tensor
    ) -> tuple[EncodedPrompt, ...]:
        """Return the prompts, one for each pass."""
        return tuple(prompts)

    def load_controls(
        self, controls: Sequence[Control], pictures: Sequence[Frames], base: Path
    ) -> VaceControls | None:
        """Make the control video of a clip; None if there are no controls."""
        if not controls:
            return None
        if not isinstance(self._inputs, VaceInputs):
            message = f"{self.name} does not follow controls"
            raise fail("G546", message, "Use a VACE checkpoint of Wan.", controls[0].span)
        return self._inputs.controls(controls, pictures, self.name)

    def predict(
        self,
        x_PFchw: Tensor,
        t: Tensor,
        conditioning: tuple[EncodedPrompt, ...],
        frames: Sequence[int],
        *,
        step: int,
        steps: int,
        controls: VaceControls | None = None,
    ) -> Tensor:
        """Run the expert for ``t``, one pass at a time: float32 ``[P * F, c, h, w]``."""
        self.text.release()
        own = range(len(conditioning))
        if self._shared is not None:
            x_PFchw = self._shared.same(x_PFchw)
            own = self._shared.begin(len(conditioning))
        network = self.experts.at(float(t))
        velocities = []
        for index in own:
            prompt = conditioning[index]
            latents = clips.clip_layout(x_PFchw[index * len(frames) :][: len(frames)])
            inputs = self._inputs.of(latents, t, frames, controls, step=step, steps=steps)
            if self._attention is not None:
                self._attention.begin_pass(index, len(conditioning))
            with network.cache_context(pass_name(conditioning, index)):
                velocity = network(**inputs, encoder_hidden_states=prompt.words, return_dict=False)[
                    0
                ]
            velocity = self._inputs.velocity(velocity.float(), latents, t, frames)
            velocities.append(clips.frame_layout(velocity))
        found = torch.cat(velocities)
        return found if self._shared is None else self._shared.exchanged(found)

    def guidance_at(self, sampler: Sampler, t: float) -> float:
        """Return the scale of guidance of the expert for a timestep."""
        return self.experts.guidance(sampler, t)

    def attention(
        self,
        frames: int,
        settings: Modulation,
        *,
        plan: MaskPlan | None = None,
        backend: str = "auto",
        paths: Mapping[int, Trajectories] | None = None,
        cross_rule: CrossAttentionRule | None = None,
        recorder: AttentionRecorder | None = None,
    ) -> ClipAttention | DividedAttention:
        """Return the attention over ``frames`` latent frames; unmodulated without a plan."""
        whole = ClipAttention(
            frames,
            plan=plan,
            backend=backend,
            device=self.device,
            cross_rule=cross_rule,
            recorder=recorder,
        )
        return whole if self._shared is None else DividedAttention(whole, self._shared)

    @contextmanager
    def installed(self, attention: Attention) -> Iterator[None]:
        """Compute the attention of the transformers with ``attention`` inside the block."""
        before, self._attention = self._attention, attention
        try:
            with ExitStack() as stack:
                if self._shared is not None:
                    for network in self.experts.networks:
                        stack.enter_context(divided(network, self._shared))
                stack.enter_context(installed(self.experts.networks, attention))
                yield
        finally:
            self._attention = before

    def pass_facts(self, settings: Modulation) -> dict[str, Any]:
        """Return nothing: all settings change modulated passes only."""
        return {}

    def source_features(self, inject: Inject) -> SourceFeatures:
        """Raise GrainError (G504): features of a transformer are not injected."""
        message = f"{self.name} is a transformer, into which no features are injected"
        raise fail("G504", message, "Remove `inject`.", inject.span)

    def with_freeu(self, freeu: FreeU) -> AbstractContextManager[None]:
        """Raise GrainError (G504): a transformer has no skip connections to weigh."""
        message = f"{self.name} is a transformer, which FreeU is not for"
        raise fail("G504", message, "Remove `freeu`.", freeu.span)


def pass_name(conditioning: Sequence[EncodedPrompt], index: int) -> str:
    """Return the name under which caches on the transformers keep a pass.

    Passes of the target prompt are ``uncond`` and ``cond``, as in diffusers' pipelines, those of
    the source prompt ``src_uncond`` and ``src_cond``.
    """
    name = "cond" if index == len(conditioning) - 1 else "uncond"
    return name if conditioning[-1].is_target else f"src_{name}"

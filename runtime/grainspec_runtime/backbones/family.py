"""The interface of a model family: two protocols, and the values they share.

The registry (:mod:`grainspec_runtime.backbones.registry`) finds a family by the class names in a
checkpoint's configuration. :class:`Family` covers what is known before a model is loaded, and is
free of torch; :class:`Checkpoint` is a loaded model. Sampling, editing, memory estimates, cache,
study, reports and ``plan_applied`` use these protocols only, never a particular family.

Dimensions: F latent frames, c channels, h rows and w columns of latents, P passes of guidance.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from grainspec.clip.crop import NativeSize
from grainspec.diagnostics import Diagnostic
from grainspec.model.settings.method import MethodName
from grainspec.model.settings.sampler import ProcessName
from grainspec.model.spec import Control, EditSpec, FreeU, Inject, Modulation, Sampler
from grainspec.plan.backbone import Backbone
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.models.additions import Embedding, Lora
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.options import LoadOptions

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from grainspec_runtime.flow.trajectories import Trajectories
    from grainspec_runtime.media.decode import Frames
    from grainspec_runtime.modulation.layers import (
        Attention,
        AttentionRecorder,
        CrossAttentionRule,
    )
    from grainspec_runtime.modulation.part import Division
    from grainspec_runtime.schedules.schedule import Schedule


class Family(Protocol):
    """A model family, before a model of it is loaded. Only ``load`` and ``apply`` import torch."""

    @property
    def name(self) -> str:
        """The name in messages: ``Stable Diffusion 1.x, 2.x or XL``."""

    @property
    def processes(self) -> Sequence[ProcessName]:
        """The editing processes that its models support; the first is the default."""

    @property
    def methods(self) -> Collection[MethodName]:
        """The editing methods of other papers that its models support."""

    @property
    def divides(self) -> Literal["tokens", "windows"]:
        """What of a clip several devices divide between them (:class:`.LoadOptions`).

        ``tokens``: the checkpoint divides the latent tokens in each pass. ``windows``: it runs on
        the windows of a long clip, of which each device gets some.
        """

    @property
    def parts(self) -> Mapping[str, Mapping[str, str]]:
        """For each pipeline class name of diffusers: the components, and the class of each."""

    @property
    def weighted(self) -> Sequence[str]:
        """The components that have weights."""

    @property
    def optional(self) -> Sequence[str]:
        """The components of :attr:`parts` that a checkpoint may lack."""

    @property
    def kin(self) -> Sequence[str]:
        """How class names of pipelines begin that errors name this family for."""

    @property
    def example(self) -> str:
        """The statements that name a checkpoint, for messages: ``model "…"``."""

    def describe(
        self, model: ModelFolder, embeddings: Sequence[Embedding] = (), *, outlined: bool = False
    ) -> Backbone:
        """Read the facts that the compiler needs from configuration files.

        ``embeddings`` are textual inversions that the model will be loaded with. ``outlined`` reads
        JSON only, with no library of models: the tokens of a text are then its words, of which a
        tokenizer makes at least one each. Raises GrainError:
        G502 if files are missing or broken, G504 if the architecture is not supported, G507 if
        components do not fit together, G508 if textual inversions do not fit, G524 if the model is
        distilled, G528 if a configuration is not accepted.
        """

    def review(
        self, model: ModelFolder, loras: Sequence[Lora] = (), sampler: Sampler | None = None
    ) -> Sequence[Diagnostic]:
        """Check a checkpoint and LoRAs by their files; return the warnings.

        ``sampler`` has the settings that they will run with, None if these are not known. ``grain
        check`` calls it, so it loads no tokenizer and downloads nothing. Raises GrainError
        as :meth:`describe` does for what files tell without a tokenizer, and G508 for LoRAs that
        are for another kind of model.
        """

    def native_size(self, model: ModelFolder) -> NativeSize:
        """Return the frame size that the model was trained on, and what sides are multiples of."""

    def check(
        self, spec: EditSpec, base: Path, model: ModelFolder, *, outlined: bool = False
    ) -> None:
        """Raise GrainError if a spec uses something that this model does not support.

        ``outlined`` leaves out what needs other networks or packages than NumPy: ControlNets and
        annotators.
        """

    def memory(self, model: ModelFolder, *, itemsize: int) -> MemoryEstimates:
        """Estimate the memory of a model before it is loaded, from its files.

        ``itemsize`` is the bytes of a number in the precision that it will be loaded in. Weights
        that are not downloaded yet count as 0.
        """

    def load(self, model: ModelFolder, options: LoadOptions) -> Checkpoint:
        """Load a model from safetensors weights.

        Raises GrainError: G502 if weights are missing or broken, G508 if a LoRA or a textual
        inversion does not fit, G501 if a package is not installed; ValueError if options cannot be
        combined.
        """

    def owns(self, pipe: object) -> bool:
        """Return whether this family can apply plans to a diffusers pipeline of the user."""

    def apply(
        self, plan: MaskPlan, pipe: Any, *, backend: str, trust_embeds: bool
    ) -> AbstractContextManager[Attention]:
        """Apply a plan to a pipeline of this family; see ``grainspec_runtime.plan_applied``."""


def present_parts(family: Family, model: ModelFolder) -> dict[str, str]:
    """Return the components that a checkpoint has, and the class of each."""
    parts = family.parts[model.pipeline]
    return {
        part: kind for part, kind in parts.items() if part not in family.optional or model.has(part)
    }


class Checkpoint(Protocol):
    """A loaded, frozen model, used through its stock diffusers pipeline."""

    @property
    def name(self) -> str:
        """The model's name, as written in the spec."""

    @property
    def folder(self) -> Path:
        """The folder that the model, or at least its configuration, was loaded from."""

    @property
    def file(self) -> Path | None:
        """The file of its weights, whose configuration is ``folder``; None if all is there."""

    @property
    def division(self) -> Division | None:
        """How processes share its self-attention; None if each process runs all of it."""

    @property
    def findings(self) -> Sequence[Diagnostic]:
        """Warnings from loading it."""

    @property
    def device(self) -> torch.device:
        """The device that the model runs on."""

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the denoiser."""

    @property
    def schedule(self) -> Schedule:
        """The noise schedule."""

    @property
    def denoiser(self) -> nn.Module:
        """The network that :meth:`predict` runs; errors name the layer that produced NaN."""

    @property
    def memory(self) -> MemoryEstimates:
        """The memory that its components need, estimated from their sizes."""

    def encode_prompt(self, text: str) -> Any:
        """Encode a prompt for the denoiser."""

    def encode_target(self, plan: MaskPlan, *, emphasis: float = 1.0) -> Any:
        """Encode a plan's target prompt, with isolated phrases if the plan isolates them.

        The embeddings of edits' words are multiplied by ``emphasis``.
        """

    def encode_unconditional(self, negative: str, plan: MaskPlan) -> Any:
        """Encode the prompt of the unconditional pass: ``negative``, or what the plan has for it.

        With `unconditional empty_prompt` cross-attention reads the empty prompt.
        """

    def encode_clip(self, frames: Frames) -> Tensor:
        """Encode frames, uint8 ``[frames, H, W, 3]``, to latents ``[F, c, h, w]``.

        Raises GrainError (G505) for NaN or infinity.
        """

    def begin_clip(self, frames: Frames) -> None:
        """Begin to edit a clip: a model that is shown an image gets its first frame from now on."""

    def decode_clip(self, latents_Fchw: Tensor) -> Frames:
        """Decode latents to frames, uint8 ``[frames, H, W, 3]``; raises G505 for NaN."""

    def condition(self, prompts: Sequence[Any], latents_Fchw: Tensor) -> Any:
        """Return the denoiser's inputs besides latents and timestep, for one pass per prompt."""

    def load_controls(
        self, controls: Sequence[Control], pictures: Sequence[Frames], base: Path
    ) -> Controls | None:
        """Load the ControlNets of a clip with their control images; None if there are none."""

    def predict(
        self,
        x_PFchw: Tensor,
        t: Tensor,
        conditioning: Any,
        frames: Sequence[int],
        *,
        step: int,
        steps: int,
        controls: Any = None,
    ) -> Tensor:
        """Run the denoiser on ``frames`` of the clip: float32 ``[P * F, c, h, w]``.

        ``conditioning`` comes from :meth:`condition`, ``controls`` from :meth:`load_controls`.
        ``step`` of ``steps`` decides which controls are active.
        """

    def guidance_at(self, sampler: Sampler, t: float) -> float:
        """Return the scale of guidance at a timestep: of two experts, each can have its own."""

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
    ) -> Attention:
        """Return the attention over ``frames`` latent frames; unmodulated without a plan."""

    def installed(self, attention: Attention) -> AbstractContextManager[None]:
        """Compute all attention of the denoiser with ``attention`` inside the block.

        At the end the denoiser is restored, whatever is raised inside.
        """

    def pass_facts(self, settings: Modulation) -> dict[str, Any]:
        """Return the settings that change an unmodulated pass of this model, as JSON values."""

    def source_features(self, inject: Inject) -> SourceFeatures:
        """Return the layers at which ``inject`` replaces features by the source clip's."""

    def with_freeu(self, freeu: FreeU) -> AbstractContextManager[None]:
        """Apply FreeU to the denoiser inside the block; at the end it is as before.

        Raises GrainError (G504) if the denoiser is no UNet.
        """


class Controls(Protocol):
    """A clip's ControlNets, loaded by the family that runs them."""

    def facts(self) -> list[Any]:
        """Return what identifies this set of controls, as JSON values."""


class SourceFeatures(Protocol):
    """Features of the source clip, stored in one pass of the denoiser and used in another."""

    def installed(self) -> AbstractContextManager[None]:
        """Wrap the layers inside the block; at the end the denoiser's own layers are restored."""

    def storing(self, *, residual: bool, attention: bool) -> AbstractContextManager[None]:
        """Store features of these kinds in the passes inside the block."""

    def replacing(self, *, residual: bool, attention: bool) -> AbstractContextManager[None]:
        """Replace the denoiser's own features by the stored ones inside the block."""

    def clear(self) -> None:
        """Delete the stored features."""


class MemoryEstimates(Protocol):
    """Estimates, in bytes, of the memory that a model's components need."""

    @property
    def pixels_per_latent(self) -> int:
        """Width and height in pixels of one latent."""

    @property
    def vae_batch(self) -> int:
        """Number of latent frames that the VAE processes at once."""

    @property
    def vae_tile(self) -> int:
        """Side length in pixels of the tiles of ``--vae-tiling``."""

    @property
    def half(self) -> str:
        """The precision of two bytes that the model is run in: ``float16`` or ``bfloat16``."""

    @property
    def released(self) -> Sequence[str]:
        """The components whose weights are deleted before the VAE and the denoiser run."""

    @property
    def cpu_peaks(self) -> Mapping[str, float]:
        """The peak on a CPU as a multiple of the activations that torch holds.

        Its keys are the stages ``text``, ``denoiser`` and ``vae``.
        """

    def weights(self) -> Mapping[str, int]:
        """Bytes of the weights of every component; one of them is ``vae``."""

    def denoiser_weights(self) -> int:
        """Bytes of the denoiser's weights; of two experts, those of the larger one."""

    def denoiser_group(self) -> int:
        """Bytes of the denoiser's weights that are on the device at once with ``group`` offload."""

    def denoiser_frame(self, *, passes: int, height: int, width: int) -> int:
        """Bytes of the denoiser's activations for one latent frame; sizes in pixels."""

    def vae_frame(self, *, height: int, width: int) -> int:
        """Bytes of the VAE's activations for each of :attr:`vae_batch`; sizes in pixels."""

    def clip_frame(self, *, height: int, width: int) -> int:
        """Bytes that the VAE holds besides for each frame of a clip; sizes in pixels."""

    def control_frame(self, *, passes: int, height: int, width: int) -> int:
        """Bytes of a ControlNet's outputs for one frame; sizes in pixels."""

    def latent_frame(self, *, height: int, width: int) -> int:
        """Bytes of a frame's latents in float32; sizes in pixels."""

    def injected_frame(self, inject: Inject, *, height: int, width: int) -> int:
        """Bytes of the source's queries and keys that are stored for one frame during a step."""

    def source_maps_frame(self, *, height: int, width: int) -> int:
        """Bytes at most of the source's attention maps that are stored for one frame of a step."""

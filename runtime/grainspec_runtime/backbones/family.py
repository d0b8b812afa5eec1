"""What a model family is to the rest of the runtime: two protocols, and the values they share.

A family is found by the class names that a checkpoint gives itself
(:mod:`grainspec_runtime.backbones.registry`). :class:`Family` is what can be known before a model
is loaded, and is free of torch; :class:`Checkpoint` is a loaded model. Sampling, editing, memory,
cache, study, reports and ``plan_applied`` know these protocols and no family.

Dimensions: F latent frames, c channels, h rows and w columns of latents, P passes of guidance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from grainspec.diagnostics.span import Span
from grainspec.model.spec import Control, EditSpec, Inject, Modulation, Size
from grainspec.plan.backbone import Backbone
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.backbones.additions import Embedding
from grainspec_runtime.backbones.options import LoadOptions

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
    from grainspec_runtime.schedules.schedule import Schedule


@dataclass(frozen=True)
class ModelFolder:
    """A checkpoint in diffusers' format, found but not loaded.

    name: as the spec has it. index: its ``model_index.json``. span: where the spec names it.
    """

    name: str
    folder: Path
    index: Mapping[str, Any]
    span: Span | None = None

    @property
    def pipeline(self) -> str:
        """The class name of the pipeline that the checkpoint was saved from."""
        return str(self.index.get("_class_name"))


class Family(Protocol):
    """A model family, before a model of it is loaded. No method imports torch but the last two."""

    @property
    def name(self) -> str:
        """What people call it: ``Stable Diffusion 1.x, 2.x or XL``."""

    @property
    def parts(self) -> Mapping[str, Mapping[str, str]]:
        """By diffusers' pipeline class name: the parts that are used, and the class of each."""

    @property
    def weighted(self) -> Sequence[str]:
        """The parts that have weights."""

    def describe(self, model: ModelFolder, embeddings: Sequence[Embedding] = ()) -> Backbone:
        """The facts that the compiler needs, from configuration files.

        ``embeddings`` are textual inversions that the model will be loaded with. Raises GrainError:
        G502 for files that are missing or broken, G504 for an architecture that is not supported,
        G507 for parts that do not fit together, G508 for textual inversions that do not fit.
        """

    def native_size(self, model: ModelFolder) -> Size:
        """The frame size that the model was trained on."""

    def check(self, spec: EditSpec, base: Path, model: ModelFolder) -> None:
        """Raise GrainError for what a spec asks for that a model of this family cannot do."""

    def load(self, model: ModelFolder, options: LoadOptions) -> Checkpoint:
        """Load a model from safetensors weights; ``options`` as :class:`LoadOptions` says.

        Raises GrainError: G502 for weights that are missing or broken, G508 for a LoRA or a textual
        inversion that does not fit, G501 for a package that is missing; ValueError for options that
        cannot work together.
        """

    def owns(self, pipe: object) -> bool:
        """Whether a diffusers pipeline that a user has is one that this family applies plans to."""

    def apply(
        self, plan: MaskPlan, pipe: Any, *, backend: str
    ) -> AbstractContextManager[Attention]:
        """As :func:`grainspec_runtime.plan_applied`, for a pipeline that the family owns."""


class Checkpoint(Protocol):
    """A loaded, frozen model, driven through its stock pipeline."""

    @property
    def name(self) -> str:
        """As the spec has it."""

    @property
    def folder(self) -> Path:
        """Where it was loaded from."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    @property
    def dtype(self) -> torch.dtype:
        """What the denoiser computes in."""

    @property
    def schedule(self) -> Schedule:
        """Its noise schedule."""

    @property
    def denoiser(self) -> nn.Module:
        """The network that :meth:`predict` runs, for diagnosing faults in its layers."""

    @property
    def memory(self) -> MemoryEstimates:
        """What its parts take, estimated from their sizes."""

    def encode_prompt(self, text: str) -> Any:
        """A prompt as the denoiser reads it."""

    def encode_target(self, plan: MaskPlan) -> Any:
        """A plan's target prompt, with isolated phrases where the plan isolates them."""

    def encode_clip(self, frames: Frames) -> Tensor:
        """Latents ``[F, c, h, w]`` of frames, uint8 ``[frames, H, W, 3]``.

        Raises GrainError (G505) for NaN or infinity.
        """

    def decode_clip(self, latents_Fchw: Tensor) -> Frames:
        """Frames, uint8 ``[frames, H, W, 3]``, of latents; raises GrainError (G505) likewise."""

    def condition(self, prompts: Sequence[Any], latents_Fchw: Tensor) -> Any:
        """What the denoiser reads besides latents and timestep, for one pass per prompt."""

    def load_controls(
        self, controls: Sequence[Control], pictures: Sequence[Frames], base: Path
    ) -> Controls | None:
        """The ControlNets of a clip, with their pictures; None where a spec has none."""

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
        """The denoiser's output, float32 ``[P * F, c, h, w]``, for these frames of the clip.

        ``conditioning`` is that of :meth:`condition`, ``controls`` of :meth:`load_controls`;
        ``step`` counts sampling steps, so that controls know when they act.
        """

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
        """How the model attends over ``frames`` latent frames; unmodulated without a plan."""

    def installed(self, attention: Attention) -> AbstractContextManager[None]:
        """Let ``attention`` decide all attention of the denoiser inside the block.

        The denoiser is as before at the end, whatever is raised inside.
        """

    def pass_facts(self, settings: Modulation) -> dict[str, Any]:
        """Plain JSON values: what of the settings changes an unmodulated pass of this model."""

    def source_features(self, inject: Inject) -> SourceFeatures:
        """The layers whose features of the source clip ``inject`` puts into the edit."""


class Controls(Protocol):
    """A clip's ControlNets, loaded by the family that runs them."""

    def facts(self) -> list[Any]:
        """What tells one set of controls from another, as plain JSON values."""


class SourceFeatures(Protocol):
    """Features of the source clip, kept from one pass of the denoiser and put into another."""

    def installed(self) -> AbstractContextManager[None]:
        """Wrap the layers inside the block; the denoiser has its own back at the end."""

    def keeping(self, *, residual: bool, attention: bool) -> AbstractContextManager[None]:
        """Keep features of these kinds in the passes inside the block."""

    def giving(self, *, residual: bool, attention: bool) -> AbstractContextManager[None]:
        """Put the kept features in place of the denoiser's own inside the block."""

    def forget(self) -> None:
        """Free what is kept."""


class MemoryEstimates(Protocol):
    """Bytes that a model's parts take, to tell the large from the small."""

    @property
    def pixels_per_latent(self) -> int:
        """Pixels across one latent."""

    @property
    def vae_batch(self) -> int:
        """Frames that the VAE works on at once."""

    @property
    def vae_tile(self) -> int:
        """Side of the tiles, in pixels, that ``--vae-tiling`` works on."""

    def weights(self) -> Mapping[str, int]:
        """Bytes of the weights of every part; ``vae`` is one of them."""

    def denoiser_weights(self) -> int:
        """Bytes of the denoiser's weights."""

    def denoiser_frame(self, *, passes: int, height: int, width: int) -> int:
        """Bytes that the denoiser holds of one frame while it works; sizes in pixels."""

    def vae_frame(self, *, height: int, width: int) -> int:
        """Bytes that the VAE holds of one frame while it works; sizes in pixels."""

    def injected_frame(self, inject: Inject, *, height: int, width: int) -> int:
        """Bytes of the source's queries and keys that are kept of one frame through a step."""

"""Stable Diffusion 1.x, 2.x and XL: latent diffusion with a UNet.

This module has the members of :class:`grainspec_runtime.backbones.family.Family`. Torch is imported
only to load a model, or to apply a plan to a pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from grainspec.clip.crop import NativeSize
from grainspec.diagnostics import Diagnostic
from grainspec.model.settings.method import MethodName
from grainspec.model.settings.sampler import ProcessName
from grainspec.model.spec import EditSpec, Sampler
from grainspec.plan.backbone import Backbone
from grainspec.plan.mask_plan import MaskPlan
from grainspec_runtime.backbones.family import Checkpoint, Family, MemoryEstimates
from grainspec_runtime.backbones.unsupported import check_supported
from grainspec_runtime.models.additions import Embedding, Lora
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.options import LoadOptions

if TYPE_CHECKING:
    from grainspec_runtime.modulation.layers import Attention

_PARTS = {
    "unet": "UNet2DConditionModel",
    "vae": "AutoencoderKL",
    "text_encoder": "CLIPTextModel",
    "tokenizer": "CLIPTokenizer",
}


class StableDiffusionUNets:
    """The family of Stable Diffusion's UNets; the protocol documents the members."""

    name = "Stable Diffusion 1.x, 2.x or XL"
    processes: Sequence[ProcessName] = ("invert_and_sample",)
    methods: Sequence[MethodName] = (
        "fatezero",
        "video_p2p",
        "tokenflow",
        "controlvideo",
        "ground_a_video",
    )
    divides: Literal["tokens", "windows"] = "windows"
    weighted: Sequence[str] = ("unet", "vae", "text_encoder", "text_encoder_2")
    optional: Sequence[str] = ()
    kin: Sequence[str] = ("StableDiffusion",)
    example = 'model "stable-diffusion-v1-5/stable-diffusion-v1-5"'
    parts: Mapping[str, Mapping[str, str]] = {
        "StableDiffusionPipeline": _PARTS,
        "StableDiffusionXLPipeline": {
            **_PARTS,
            "text_encoder_2": "CLIPTextModelWithProjection",
            "tokenizer_2": "CLIPTokenizer",
        },
    }

    def describe(
        self, model: ModelFolder, embeddings: Sequence[Embedding] = (), *, outlined: bool = False
    ) -> Backbone:
        """Read the facts that the compiler needs from configuration files."""
        from grainspec_runtime.backbones.unets.describe import describe

        return describe(model, embeddings, self.parts[model.pipeline], outlined=outlined)

    def review(
        self, model: ModelFolder, loras: Sequence[Lora] = (), sampler: Sampler | None = None
    ) -> Sequence[Diagnostic]:
        """Check a checkpoint and LoRAs by their files; return the warnings."""
        from grainspec_runtime.backbones.unets.review import review

        return review(model, self.parts[model.pipeline], loras)

    def native_size(self, model: ModelFolder) -> NativeSize:
        """Return the frame size that the model was trained on."""
        from grainspec_runtime.backbones.unets.describe import native_size

        return native_size(model)

    def check(
        self, spec: EditSpec, base: Path, model: ModelFolder, *, outlined: bool = False
    ) -> None:
        """Raise GrainError for a sampler, controls or injection that the model does not support."""
        from grainspec_runtime.backbones.unets.check import check_spec

        check_supported(spec, self.name, {"low_noise_guidance"})
        check_spec(spec, base, model, outlined=outlined)

    def memory(self, model: ModelFolder, *, itemsize: int) -> MemoryEstimates:
        """Estimate the memory of a model before it is loaded."""
        from grainspec_runtime.backbones.unets.memory import UNetMemory

        weighted = {part: None for part in self.parts[model.pipeline] if part in self.weighted}
        return UNetMemory.of_folder(model, weighted, itemsize=itemsize)

    def load(self, model: ModelFolder, options: LoadOptions) -> Checkpoint:
        """Load a checkpoint as a stock pipeline."""
        from grainspec_runtime.backbones.families.sd_unet.load import load

        return load(model, options, self.parts[model.pipeline], self.weighted)

    def owns(self, pipe: object) -> bool:
        """Return whether a pipeline's denoiser is a UNet without motion modules."""
        from grainspec_runtime.backbones.unets.kinds import has_motion_modules

        return hasattr(pipe, "unet") and not has_motion_modules(pipe)

    def apply(
        self, plan: MaskPlan, pipe: Any, *, backend: str, trust_embeds: bool
    ) -> AbstractContextManager[Attention]:
        """Apply a plan to calls of a pipeline inside the block."""
        from grainspec_runtime.backbones.families.sd_unet.apply import plan_applied

        return plan_applied(plan, pipe, backend=backend, trust_embeds=trust_embeds)


FAMILY: Family = StableDiffusionUNets()

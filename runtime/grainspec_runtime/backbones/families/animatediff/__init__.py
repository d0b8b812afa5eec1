"""AnimateDiff: a Stable Diffusion UNet with motion modules (Guo et al., ICLR 2024, 2307.04725).

Each layer of the UNet is followed by attention of every latent position over the frames of the
clip. A plan modulates the UNet's own attention, as in an image model, and leaves that of the motion
modules alone. The modules are saved with the UNet, or come from a motion adapter that a spec adds
to an image model.

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


class AnimateDiffUNets:
    """The family of UNets with motion modules; the protocol documents the members."""

    name = "AnimateDiff"
    processes: Sequence[ProcessName] = ("invert_and_sample",)
    methods: Sequence[MethodName] = ("fatezero", "video_p2p", "controlvideo", "dmt")
    divides: Literal["tokens", "windows"] = "windows"
    weighted: Sequence[str] = ("unet", "vae", "text_encoder")
    optional: Sequence[str] = ()
    kin: Sequence[str] = ("AnimateDiff",)
    example = (
        'model "stable-diffusion-v1-5/stable-diffusion-v1-5"  '
        'motion_adapter "guoyww/animatediff-motion-adapter-v1-5-3"'
    )
    parts: Mapping[str, Mapping[str, str]] = {
        "AnimateDiffPipeline": {
            "unet": "UNetMotionModel",
            "vae": "AutoencoderKL",
            "text_encoder": "CLIPTextModel",
            "tokenizer": "CLIPTokenizer",
        }
    }

    def describe(
        self, model: ModelFolder, embeddings: Sequence[Embedding] = (), *, outlined: bool = False
    ) -> Backbone:
        """Read the facts that the compiler needs from configuration files."""
        from grainspec_runtime.backbones.families.animatediff.describe import describe

        return describe(model, embeddings, self.parts[model.pipeline], outlined=outlined)

    def review(
        self, model: ModelFolder, loras: Sequence[Lora] = (), sampler: Sampler | None = None
    ) -> Sequence[Diagnostic]:
        """Check a checkpoint and LoRAs by their files; return the warnings."""
        from grainspec_runtime.backbones.families.animatediff.describe import adapter_doubts
        from grainspec_runtime.backbones.unets.review import review

        return [*review(model, self.parts[model.pipeline], loras), *adapter_doubts(model)]

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
        from grainspec_runtime.backbones.families.animatediff.memory import MotionMemory

        return MotionMemory.of_folder(model, dict.fromkeys(self.weighted), itemsize=itemsize)

    def load(self, model: ModelFolder, options: LoadOptions) -> Checkpoint:
        """Load a checkpoint as a stock pipeline."""
        from grainspec_runtime.backbones.families.animatediff.load import load

        return load(model, options, self.parts[model.pipeline], self.weighted)

    def owns(self, pipe: object) -> bool:
        """Return whether a pipeline's denoiser is a UNet with motion modules."""
        from grainspec_runtime.backbones.unets.kinds import has_motion_modules

        return has_motion_modules(pipe)

    def apply(
        self, plan: MaskPlan, pipe: Any, *, backend: str, trust_embeds: bool
    ) -> AbstractContextManager[Attention]:
        """Apply a plan to calls of a pipeline inside the block."""
        from grainspec_runtime.backbones.families.animatediff.apply import plan_applied

        return plan_applied(plan, pipe, backend=backend, trust_embeds=trust_embeds)


FAMILY: Family = AnimateDiffUNets()

"""Wan 2.1 and 2.2: video transformers trained by flow matching.

Text to video of 1.3B and 14B, the two experts of 2.2 A14B, TI2V-5B, VACE, and image to video. This
module has the members of :class:`grainspec_runtime.backbones.family.Family`. Torch is imported only
to load a model, or to apply a plan to a pipeline.
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
from grainspec_runtime.backbones.family import (
    Checkpoint,
    Family,
    MemoryEstimates,
    present_parts,
)
from grainspec_runtime.models.additions import Embedding, Lora
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.options import LoadOptions

if TYPE_CHECKING:
    from grainspec_runtime.modulation.layers import Attention

_PARTS = {
    "transformer": "WanTransformer3DModel",
    "vae": "AutoencoderKLWan",
    "text_encoder": "UMT5EncoderModel",
    "tokenizer": "T5Tokenizer",
}
_SECOND = {"transformer_2": "WanTransformer3DModel"}
_VACE = "WanVACETransformer3DModel"
_IMAGE = {"image_encoder": "CLIPVisionModel", "image_processor": "CLIPImageProcessor"}


class WanTransformers:
    """The family of Wan's video transformers; the protocol documents the members."""

    name = "Wan 2.1 or 2.2"
    processes: Sequence[ProcessName] = ("flow_edit", "invert_and_sample")
    methods: Sequence[MethodName] = ("dfvedit",)
    divides: Literal["tokens", "windows"] = "tokens"
    weighted: Sequence[str] = (
        *("transformer", "transformer_2", "vae", "text_encoder", "image_encoder"),
    )
    optional: Sequence[str] = ("transformer_2", *_IMAGE)
    parts: Mapping[str, Mapping[str, str]] = {
        "WanPipeline": {**_PARTS, **_SECOND},
        "WanVideoToVideoPipeline": _PARTS,
        "WanVACEPipeline": {**_PARTS, "transformer": _VACE, "transformer_2": _VACE},
        "WanImageToVideoPipeline": {**_PARTS, **_SECOND, **_IMAGE},
    }
    kin: Sequence[str] = ("Wan", "SkyReelsV2", "ChronoEdit", "LucyEdit", "Helios")
    example = 'model "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"'

    def describe(
        self, model: ModelFolder, embeddings: Sequence[Embedding] = (), *, outlined: bool = False
    ) -> Backbone:
        """Read the facts that the compiler needs from configuration files."""
        from grainspec_runtime.backbones.families.wan.describe import describe

        return describe(model, embeddings, present_parts(self, model), outlined=outlined)

    def review(
        self, model: ModelFolder, loras: Sequence[Lora] = (), sampler: Sampler | None = None
    ) -> Sequence[Diagnostic]:
        """Check a checkpoint and LoRAs by their files; return the warnings."""
        from grainspec_runtime.backbones.families.wan.review import review

        return review(model, present_parts(self, model), loras, sampler)

    def native_size(self, model: ModelFolder) -> NativeSize:
        """Return the frame size that the model was trained on."""
        from grainspec_runtime.backbones.families.wan.describe import native_size

        return native_size(model, present_parts(self, model))

    def check(
        self, spec: EditSpec, base: Path, model: ModelFolder, *, outlined: bool = False
    ) -> None:
        """Raise GrainError for what the model, or the installed diffusers, does not support."""
        from grainspec_runtime.backbones.families.wan.check import check
        from grainspec_runtime.backbones.families.wan.versions import check_diffusers

        check_diffusers(model.span)
        check(spec, base, model, present_parts(self, model), self.name, outlined=outlined)

    def memory(self, model: ModelFolder, *, itemsize: int) -> MemoryEstimates:
        """Estimate the memory of a model before it is loaded."""
        from grainspec_runtime.backbones.families.wan.memory import WanMemory

        return WanMemory.of_folder(model, present_parts(self, model), itemsize=itemsize)

    def load(self, model: ModelFolder, options: LoadOptions) -> Checkpoint:
        """Load a checkpoint as a stock pipeline."""
        from grainspec_runtime.backbones.families.wan.versions import check_diffusers

        check_diffusers(model.span)
        from grainspec_runtime.backbones.families.wan.load import load

        return load(model, options, present_parts(self, model), self.weighted)

    def owns(self, pipe: object) -> bool:
        """Return whether a pipeline's denoiser is one of Wan's transformers."""
        kinds = {part["transformer"] for part in self.parts.values()}
        networks = (getattr(pipe, part, None) for part in ("transformer", "transformer_2"))
        plain = (getattr(network, "_orig_mod", network) for network in networks)  # not compiled
        return any(kind.__name__ in kinds for network in plain for kind in type(network).__mro__)

    def apply(
        self, plan: MaskPlan, pipe: Any, *, backend: str, trust_embeds: bool
    ) -> AbstractContextManager[Attention]:
        """Apply a plan to calls of a pipeline inside the block."""
        from grainspec_runtime.backbones.families.wan.versions import check_diffusers

        check_diffusers()
        from grainspec_runtime.backbones.families.wan.apply import plan_applied

        return plan_applied(plan, pipe, backend=backend, trust_embeds=trust_embeds)


FAMILY: Family = WanTransformers()

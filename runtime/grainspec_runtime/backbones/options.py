"""How a model is loaded: one value, from the command line or Python down to the family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from grainspec_runtime.backbones.additions import Embedding, Lora, digest

if TYPE_CHECKING:
    import torch

Offload = Literal["model", "sequential"]


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """How a model is loaded.

    device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; None for the best of the machine.
    dtype: of the networks; None for float32 on a CPU and float16 elsewhere.
    offload: keep the parts in the CPU's memory and bring to the device the one that works
    (``model``), or layer after layer (``sequential``: least memory, slowest).
    vae_slicing, vae_tiling: the VAE works on one frame at a time, on tiles of it.
    compile: torch.compile the denoiser.
    loras, embeddings: LoRAs, which are fused into the weights, and textual inversions.
    """

    device: torch.device | str | None = None
    dtype: torch.dtype | None = None
    offload: Offload | None = None
    vae_slicing: bool = False
    vae_tiling: bool = False
    compile: bool = False
    loras: Sequence[Lora] = ()
    embeddings: Sequence[Embedding] = ()

    def additions(self) -> dict[str, Any]:
        """LoRAs and textual inversions as plain JSON values, identified by content."""
        return {
            "loras": [
                {"path": str(lora.path), "scale": lora.scale, "sha256": digest(lora.path)}
                for lora in self.loras
            ],
            "embeddings": [
                {"path": str(word.path), "word": word.word, "sha256": digest(word.path)}
                for word in self.embeddings
            ],
        }

    def recorded(self) -> dict[str, object]:
        """What a manifest says of them: all but device and dtype, where not the default."""
        options: dict[str, object] = {
            "offload": self.offload,
            "vae_slicing": self.vae_slicing,
            "vae_tiling": self.vae_tiling,
            "compile": self.compile,
            **self.additions(),
        }
        return {name: value for name, value in options.items() if value}

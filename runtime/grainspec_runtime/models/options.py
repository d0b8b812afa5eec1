"""How a model is loaded, as one value, from the command line or Python to the family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from grainspec_runtime.models.additions import Embedding, Lora, digest

if TYPE_CHECKING:
    import torch

Offload = Literal["model", "group", "sequential"]
Parallel = Literal["auto", "ulysses", "ring", "guidance"]


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """How a model is loaded.

    device: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``; None for the best available.
    dtype: precision of the networks; None for float32 on a CPU, and elsewhere for what the family
    was published in: float16 for Stable Diffusion, bfloat16 for Wan.
    offload: keep networks in CPU memory, and move to the device only the active network
    (``model``), the active transformer block and the next one (``group``: for video transformers
    that are larger than the device's memory), or the active layer (``sequential``: least memory,
    slowest).
    vae_slicing: encode and decode one frame at a time. vae_tiling: encode and decode large frames
    in overlapping tiles.
    compile: compile the denoiser with torch.compile.
    parallel: divide a clip between the processes of torch.distributed, which is initialized; each
    loads the model, and makes the same edit. With a UNet, each runs some of the windows
    (:mod:`grainspec_runtime.ranks`), and only ``auto`` is allowed. With a video transformer, each
    has a part of the tokens (:mod:`grainspec_runtime.modulation.part`): self-attention is divided
    by its heads (``ulysses``), by its keys (``ring``), or by heads as far as their number allows,
    and for the rest by keys (``auto``); or half of them run the unconditional pass of guidance and
    half the conditional one, each divided as by ``auto`` (``guidance``).
    loras: LoRAs, which are fused into the weights. embeddings: textual inversions.
    """

    device: torch.device | str | None = None
    dtype: torch.dtype | None = None
    offload: Offload | None = None
    vae_slicing: bool = False
    vae_tiling: bool = False
    compile: bool = False
    parallel: Parallel | None = None
    loras: Sequence[Lora] = ()
    embeddings: Sequence[Embedding] = ()

    def __post_init__(self) -> None:
        if self.parallel and (self.offload or self.compile):
            raise ValueError("`parallel` cannot be combined with `offload` or `compile`")
        if self.parallel not in (None, *get_args(Parallel)):
            known = "`auto`, `ulysses`, `ring` or `guidance`"
            raise ValueError(f"unknown `parallel` `{self.parallel}`: use {known}")
        if self.offload not in (None, *get_args(Offload)):
            known = "`model`, `group` or `sequential`"
            raise ValueError(f"unknown offload `{self.offload}`: use {known}")
        if isinstance(self.dtype, str):
            message = f"`dtype` is the text {self.dtype!r}: pass a dtype of torch, "
            raise TypeError(message + "such as `torch.float16`")

    def additions(self) -> dict[str, Any]:
        """Describe LoRAs and textual inversions as JSON values, identified by content."""
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
        """Return the options that the manifest records: those that differ from the default.

        Device and dtype have entries of their own there.
        """
        options: dict[str, object] = {
            "offload": self.offload,
            "vae_slicing": self.vae_slicing,
            "vae_tiling": self.vae_tiling,
            "compile": self.compile,
            **self.additions(),
        }
        return {name: value for name, value in options.items() if value}

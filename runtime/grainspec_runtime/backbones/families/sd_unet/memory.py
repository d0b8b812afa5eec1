"""The memory of a Stable Diffusion pipeline's components, estimated from widths and grid sizes.

Weights are counted exactly. Activations are rough estimates: for a UNet the tensors of its skip
connections and the widest step of its largest transformer, for a VAE its last block at full size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from grainspec.model.spec import Inject
from grainspec_runtime.backbones.families.sd_unet.decoder import injected_layers
from grainspec_runtime.backbones.families.sd_unet.features import kept_of_attention


@dataclass(frozen=True)
class UNetMemory:
    """The estimates of :class:`grainspec_runtime.backbones.family.MemoryEstimates` for a UNet."""

    pipe: Any
    dtype: torch.dtype
    vae_batch: int

    @property
    def pixels_per_latent(self) -> int:
        """Width and height in pixels of one latent."""
        per_latent: int = 2 ** (len(self.pipe.vae.config.block_out_channels) - 1)
        return per_latent

    @property
    def vae_tile(self) -> int:
        """Side length in pixels of the VAE's tiles."""
        side: Any = self.pipe.vae.config.sample_size
        return side if isinstance(side, int) else max(side)

    def weights(self) -> dict[str, int]:
        """Bytes of the weights of every component, on any device."""
        return {
            name: sum(weight.numel() * weight.element_size() for weight in part.parameters())
            for name, part in self.pipe.components.items()
            if isinstance(part, torch.nn.Module)
        }

    def denoiser_weights(self) -> int:
        """Bytes of the UNet's weights."""
        return self.weights()["unet"]

    def denoiser_frame(self, *, passes: int, height: int, width: int) -> int:
        """Bytes of the UNet's activations for one frame; sizes in pixels."""
        config = self.pipe.unet.config
        unit = self.pixels_per_latent
        rows, columns = height // unit, width // unit
        kept = widest = 0
        layers = config.layers_per_block
        for level, channels in enumerate(config.block_out_channels):
            tokens = rows * columns
            repeats = layers if isinstance(layers, int) else layers[level]
            kept += (repeats + 1) * channels * tokens
            if "CrossAttn" in config.down_block_types[level]:
                # queries, keys, values and output, and the gated feed-forward at 8 times the width
                widest = max(widest, 12 * channels * tokens)
            rows, columns = (rows + 1) // 2, (columns + 1) // 2
        return passes * (kept + widest) * self.dtype.itemsize

    def vae_frame(self, *, height: int, width: int) -> int:
        """Bytes of the VAE's activations for one frame; sizes in pixels."""
        finest, *coarser = self.pipe.vae.config.block_out_channels
        channels: int = 2 * finest + max(finest, *coarser[:1])
        size: int = height * width * channels * self.pipe.vae.dtype.itemsize
        return size

    def injected_frame(self, inject: Inject, *, height: int, width: int) -> int:
        """Bytes of the source's queries and keys for one frame; its other features are small."""
        unet, unit = self.pipe.unet, self.pixels_per_latent
        layers = injected_layers(inject, unet.config)
        numbers = kept_of_attention(unet, layers, rows=height // unit, columns=width // unit)
        return numbers * self.dtype.itemsize

"""The memory of a Stable Diffusion pipeline's components, estimated from their configurations.

Weights are counted exactly, from a loaded pipeline or from the headers of its files. Activations
are those that torch holds at once, fitted to what it allocates for networks of several widths
(``runtime/benchmarks/memory.py`` measures them again). Free of torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Self

from grainspec.model.spec import Inject
from grainspec_runtime.backbones.unets.decoder import InjectedLayers, injected_layers
from grainspec_runtime.models.config import read_json
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.weights import weight_count

VAE_BATCH = 4
"""Number of frames that the VAE processes at once, so that its memory is bounded."""

_LARGEST_GRID = 32 * 32

Config = Mapping[str, Any]


@dataclass(frozen=True)
class UNetMemory:
    """The estimates of :class:`grainspec_runtime.backbones.family.MemoryEstimates` for a UNet.

    ``itemsize`` and ``vae_itemsize`` are the bytes of a number of the denoiser and of the VAE,
    ``parts`` those of the weights of each component.
    """

    unet: Config
    vae: Config
    parts: Mapping[str, int]
    itemsize: int
    vae_itemsize: int
    everywhere: bool = False
    """Whether every level has layers of a transformer, not only those with attention."""
    vae_batch: int = VAE_BATCH
    half: str = "float16"
    released: tuple[str, ...] = ()

    @classmethod
    def of_folder(
        cls, model: ModelFolder, weighted: Mapping[str, object], *, itemsize: int
    ) -> Self:
        """Estimate before a model is loaded; weights that are not there yet count as 0."""
        folder = model.folder
        unet, vae = (read_json(folder / part / "config.json") for part in ("unet", "vae"))
        is_xl = "text_encoder_2" in weighted
        vae_itemsize = 4 if itemsize == 2 and is_xl and vae.get("force_upcast", True) else itemsize
        sizes = {part: vae_itemsize if part == "vae" else itemsize for part in weighted}
        counts = _counts(model, sizes)
        parts = {part: size * counts[part] for part, size in sizes.items()}
        return cls(unet, vae, parts, itemsize, vae_itemsize)

    @property
    def cpu_peaks(self) -> Mapping[str, float]:
        """The peak on a CPU: convolutions need as much again for their own copies."""
        return {"text": 2.0, "denoiser": 2.0, "vae": 2.0}

    @property
    def pixels_per_latent(self) -> int:
        """Width and height in pixels of one latent."""
        per_latent: int = 2 ** (len(self.vae["block_out_channels"]) - 1)
        return per_latent

    @property
    def vae_tile(self) -> int:
        """Side length in pixels of the VAE's tiles."""
        side: Any = self.vae.get("sample_size", 32)
        return side if isinstance(side, int) else max(side)

    def weights(self) -> Mapping[str, int]:
        """Bytes of the weights of every component, on any device."""
        return self.parts

    def denoiser_weights(self) -> int:
        """Bytes of the UNet's weights."""
        return self.parts["unet"]

    def denoiser_group(self) -> int:
        """Bytes of the UNet's weights, which is not offloaded by groups."""
        return self.denoiser_weights()

    def denoiser_frame(self, *, passes: int, height: int, width: int) -> int:
        """Bytes of the UNet's activations for one frame; sizes in pixels."""
        kept, most = 0.0, 0.0
        for level, (channels, tokens, attends) in enumerate(self._levels(height, width)):
            layers = self._layers(level)
            coarser = self._channels[min(level + 1, len(self._channels) - 1)]
            held = max(
                # the gated feed-forward of a transformer, at 8 times the width
                (22 + layers) * channels + coarser if attends else 0,
                # a residual block
                (13 + layers) * channels + 2 * coarser,
                # the decoder's first residual block, behind the upsampling
                (1 + layers) * channels + 6 * coarser,
            )
            most = max(most, kept + held * tokens)
            kept += (layers + 1) * channels * tokens
        return int(passes * most * self.itemsize)

    def control_frame(self, *, passes: int, height: int, width: int) -> int:
        """Bytes of a ControlNet's outputs for one frame: those of the UNet's skip connections."""
        kept = sum(
            (self._layers(level) + 1) * channels * tokens
            for level, (channels, tokens, _) in enumerate(self._levels(height, width))
        )
        return passes * kept * self.itemsize

    def latent_frame(self, *, height: int, width: int) -> int:
        """Bytes of a frame's latents in float32."""
        unit, channels = self.pixels_per_latent, int(self.vae.get("latent_channels", 4))
        return 4 * channels * (height // unit) * (width // unit)

    def vae_frame(self, *, height: int, width: int) -> int:
        """Bytes of the VAE's activations for one frame; sizes in pixels."""
        finest, *coarser = self.vae["block_out_channels"]
        channels: int = finest + 3 * max(finest, *coarser[:1])
        return height * width * channels * self.vae_itemsize

    def clip_frame(self, *, height: int, width: int) -> int:
        """Return 0: decoded frames leave the device at once."""
        return 0

    def injected_frame(self, inject: Inject, *, height: int, width: int) -> int:
        """Bytes of the source's queries and keys for one frame; its other features are small."""
        layers, unit = injected_layers(inject, self.unet), self.pixels_per_latent
        numbers = kept_of_attention(self.unet, layers, rows=height // unit, columns=width // unit)
        return numbers * self.itemsize

    def source_maps_frame(self, *, height: int, width: int) -> int:
        """Bytes of the queries and keys of all layers of one frame, but of self-attention above
        32 x 32 (see :mod:`grainspec_runtime.modulation.attention_maps`)."""
        numbers, levels = 0, self._levels(height, width)
        depths: Any = self.unet.get("transformer_layers_per_block", 1)
        for level, (channels, tokens, attends) in enumerate(levels):
            depth = depths if isinstance(depths, int) else depths[level]
            depth = depth if isinstance(depth, int) else max(depth)
            layers = (2 * self._layers(level) + 1) * attends + (level == len(levels) - 1)
            kept = (
                3 if tokens <= _LARGEST_GRID else 1
            )  # of self-attention both, of words the queries
            numbers += kept * channels * tokens * layers * depth
        return numbers * self.itemsize

    @property
    def _channels(self) -> list[int]:
        return list(self.unet["block_out_channels"])

    def _layers(self, level: int) -> int:
        layers: Any = self.unet.get("layers_per_block", 2)
        return int(layers if isinstance(layers, int) else layers[level])

    def _levels(self, height: int, width: int) -> list[tuple[int, int, bool]]:
        """Channels, tokens of a frame, and whether there is attention, from the finest level."""
        rows, columns = height // self.pixels_per_latent, width // self.pixels_per_latent
        levels = []
        for channels, kind in zip(self._channels, self.unet["down_block_types"], strict=True):
            levels.append((channels, rows * columns, self.everywhere or "CrossAttn" in kind))
            rows, columns = (rows + 1) // 2, (columns + 1) // 2
        return levels


_IN_ONE_FILE = {
    "unet": ("model.diffusion_model.",),
    "vae": ("first_stage_model.",),
    "text_encoder": ("cond_stage_model.", "conditioner.embedders.0."),
    "text_encoder_2": ("conditioner.embedders.1.",),
}
"""How the names of a component's tensors begin in a checkpoint in one file."""


def _counts(model: ModelFolder, parts: Iterable[str]) -> dict[str, int]:
    """Count the weights of components."""
    if model.file is None:
        return {part: weight_count(model.folder / part) for part in parts}
    shapes = model.file.shapes
    return {
        part: sum(prod(shapes[name]) for name in shapes if name.startswith(_IN_ONE_FILE[part]))
        for part in parts
    }


def kept_of_attention(unet: Config, layers: InjectedLayers, rows: int, columns: int) -> int:
    """Count the numbers in a frame's queries and keys, for latents of this size."""
    channels = list(reversed(unet["block_out_channels"]))
    depths: Any = unet.get("transformer_layers_per_block", 1)
    if isinstance(depths, int):
        depths = [depths] * len(channels)
    depths = unet.get("reverse_transformer_layers_per_block") or list(reversed(depths))
    total = 0
    for name in layers.attention:
        _, block, _, layer = name.split(".")
        level = len(channels) - 1 - int(block)
        depth: Any = depths[int(block)]
        tokens = -(-rows // 2**level) * -(-columns // 2**level)
        blocks = depth if isinstance(depth, int) else depth[int(layer)]
        total += 2 * channels[int(block)] * tokens * blocks
    return total

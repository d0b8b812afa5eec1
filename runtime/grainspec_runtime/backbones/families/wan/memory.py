"""The memory of a Wan pipeline's components, estimated from their configurations. Free of torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from grainspec.model.spec import Inject
from grainspec_runtime.backbones.families.wan.configs import WanConfigs, read_configs, width_of
from grainspec_runtime.models.config import number_in
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.weights import weight_count


@dataclass(frozen=True)
class WanMemory:
    """The estimates of :class:`grainspec_runtime.backbones.family.MemoryEstimates` for Wan.

    ``itemsize`` and ``vae_itemsize`` are the bytes of a number of the transformer and of the VAE,
    ``parts`` those of the weights of each component.
    """

    configs: WanConfigs
    parts: Mapping[str, int]
    itemsize: int
    vae_itemsize: int = 4
    vae_batch: int = 1
    vae_tile: int = 256

    @classmethod
    def of_folder(cls, model: ModelFolder, parts: Collection[str], *, itemsize: int) -> WanMemory:
        """Estimate before a model is loaded; weights that are not there yet count as 0."""
        configs = read_configs(model, parts)
        sizes = {part: 4 if part == "vae" else itemsize for part in configs.parts}
        counts = {part: size * weight_count(model.folder / part) for part, size in sizes.items()}
        return cls(configs, counts, itemsize)

    @property
    def pixels_per_latent(self) -> int:
        """Width and height in pixels of one latent."""
        return self.configs.pixels_per_latent

    def weights(self) -> Mapping[str, int]:
        """Bytes of the weights of every component, on any device."""
        return self.parts

    def denoiser_weights(self) -> int:
        """Bytes of the transformer's weights; of two experts, those of the larger one."""
        return max(self.parts[part] for part in self.configs.experts)

    def denoiser_frame(self, *, passes: int, height: int, width: int) -> int:
        """Bytes of the transformer's activations for one latent frame, of one pass at a time."""
        tokens = (height // self.configs.size_multiple) * (width // self.configs.size_multiple)
        inner = width_of(self.configs.transformer)
        feed_forward = number_in(self.configs.transformer, "ffn_dim", 13824)
        return tokens * self.itemsize * (8 * inner + 2 * feed_forward)

    def control_frame(self, *, passes: int, height: int, width: int) -> int:
        """Bytes of the outputs of VACE's control blocks for one latent frame."""
        tokens = (height // self.configs.size_multiple) * (width // self.configs.size_multiple)
        places = len(self.configs.transformer.get("vace_layers") or range(0, 40, 5))
        return tokens * self.itemsize * places * width_of(self.configs.transformer)

    def latent_frame(self, *, height: int, width: int) -> int:
        """Bytes of a latent frame in float32."""
        unit = self.pixels_per_latent
        return 4 * self.configs.channels * (height // unit) * (width // unit)

    def vae_frame(self, *, height: int, width: int) -> int:
        """Bytes of the VAE's activations, which works on the frames of one latent at a time."""
        base = number_in(self.configs.vae, "base_dim", 96)
        return 4 * 8 * base * height * width * self.vae_itemsize

    def injected_frame(self, inject: Inject, *, height: int, width: int) -> int:
        """Return 0: nothing is injected."""
        return 0

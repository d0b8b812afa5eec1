"""The memory of a Wan pipeline's components, estimated from their configurations. Free of torch.

Weights are counted exactly, from a loaded pipeline or from the headers of its files. Activations
are the tensors that torch holds at once. Those of the transformer are counted from its code; those
of the VAE are fitted to what it holds for several widths, frames and sizes. Both are within a
twentieth of it, for networks of the published shapes. Work space of convolution and attention
kernels comes on top: little on a GPU, but on a CPU several times the VAE's activations.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from grainspec.model.spec import Inject
from grainspec_runtime.backbones.families.wan.configs import WanConfigs, read_configs, width_of
from grainspec_runtime.models.config import number_in
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.weights import weight_count

_FULL_PRECISION = ("vae", "image_encoder")
"""Components that stay in float32."""
_FLOAT32 = 4


@dataclass(frozen=True)
class WanMemory:
    """The estimates of :class:`grainspec_runtime.backbones.family.MemoryEstimates` for Wan.

    ``parts`` are the bytes of the weights of each component, ``itemsize`` the bytes of a number of
    the transformer. Passes run one at a time, so memory does not grow with them.
    """

    configs: WanConfigs
    parts: Mapping[str, int]
    itemsize: int
    vae_batch: int = 1
    vae_tile: int = 256
    half: str = "bfloat16"
    released: tuple[str, ...] = ("text_encoder",)

    @classmethod
    def of_folder(cls, model: ModelFolder, parts: Collection[str], *, itemsize: int) -> WanMemory:
        """Estimate before a model is loaded; weights that are not there yet count as 0."""
        configs = read_configs(model, parts)
        sizes = {part: _FLOAT32 if part in _FULL_PRECISION else itemsize for part in configs.parts}
        counts = {part: size * weight_count(model.folder / part) for part, size in sizes.items()}
        return cls(configs, counts, itemsize)

    @property
    def cpu_peaks(self) -> Mapping[str, float]:
        """The peak on a CPU as a multiple of activations: its convolutions unfold their input."""
        return {"text": 1.5, "denoiser": 1.5, "vae": 4.5}

    @property
    def pixels_per_latent(self) -> int:
        """Width and height in pixels of one latent."""
        return self.configs.pixels_per_latent

    def weights(self) -> Mapping[str, int]:
        """Bytes of the weights of every component, on any device."""
        return self.parts

    def denoiser_weights(self) -> int:
        """Bytes of the transformer's weights; of two experts, those of the larger one."""
        return max(self.parts["transformer"], self.parts.get("transformer_2", 0))

    def denoiser_group(self) -> int:
        """Bytes of two transformer blocks, and of what belongs to none."""
        layers = self.configs.layers + self._control_blocks
        width = width_of(self.configs.transformer)
        # attention to the clip and to text, and a feed-forward of two layers
        block = 8 * width**2 + 2 * width * number_in(self.configs.transformer, "ffn_dim", 13824)
        outside = max(0, self.denoiser_weights() - layers * block * self.itemsize)
        return min(self.denoiser_weights(), 2 * block * self.itemsize + outside)

    def denoiser_frame(self, *, passes: int, height: int, width: int) -> int:
        """Bytes of the transformer's activations for one latent frame."""
        transformer = self.configs.transformer
        inner, size = width_of(transformer), self.itemsize
        feed_forward = number_in(transformer, "ffn_dim", 13824)
        converted = 0 if size == _FLOAT32 else _FLOAT32  # copies in float32
        held = 0
        stages = [
            # input, its norm, query, key, value, the result; three halves for rotary embeddings
            (6 * size + 6) * inner,
            # input, residual stream, attention's result, norm; both sides of the activation
            4 * size * inner + 2 * size * feed_forward,
            # the same, and the feed-forward's result, as it is scaled and added in float32
            (5 * size + 2 * _FLOAT32 + converted) * inner,
        ]
        if self.configs.expands_timesteps:
            # six shifts, scales and gates for every token, as they are and in float32
            held = (7 * size + 6 * _FLOAT32) * inner
            stages.append((size + 6 * converted) * inner)
        rotary = 2 * _FLOAT32 * number_in(transformer, "attention_head_dim", 128)
        controls = (2 + self._control_blocks) * size * inner if self._control_blocks else 0
        return self._tokens(height, width) * (held + max(stages) + rotary + controls)

    @property
    def _control_blocks(self) -> int:
        return len(self.configs.control_layers)

    def _tokens(self, height: int, width: int) -> int:
        side = self.configs.size_multiple
        return -(-height // side) * -(-width // side)

    def control_frame(self, *, passes: int, height: int, width: int) -> int:
        """Bytes of a control's latents for one latent frame; VACE's blocks run without one, too."""
        channels = number_in(self.configs.transformer, "vace_in_channels", 96)
        unit = self.pixels_per_latent
        return _FLOAT32 * channels * (height // unit) * (width // unit)

    def latent_frame(self, *, height: int, width: int) -> int:
        """Bytes of a latent frame in float32."""
        unit = self.pixels_per_latent
        return _FLOAT32 * self.configs.channels * (height // unit) * (width // unit)

    def vae_frame(self, *, height: int, width: int) -> int:
        """Bytes of the VAE's activations, which works on the frames of one latent at a time.

        They include what it keeps of the frames before, for its causal convolutions.
        """
        vae = self.configs.vae
        blocks, is_residual = number_in(vae, "num_res_blocks", 2), vae.get("is_residual")
        patch = number_in(vae, "patch_size", 1)
        encoder = number_in(vae, "base_dim", 96)
        decoder = number_in(vae, "decoder_base_dim", encoder)
        encoding = 24.4 + 11.2 * blocks if is_residual else 23 + 7.2 * blocks
        decoding = 70.6 + 7.4 * blocks if is_residual else 36.6 + 7.2 * blocks
        most = max(encoding * encoder, decoding * decoder)
        return int(_FLOAT32 * most * height * width / patch**2)

    def clip_frame(self, *, height: int, width: int) -> int:
        """Bytes of a decoded frame, which is held twice until the whole clip is decoded."""
        return 2 * 3 * _FLOAT32 * height * width

    def injected_frame(self, inject: Inject, *, height: int, width: int) -> int:
        """Return 0: nothing is injected."""
        return 0

    def source_maps_frame(self, *, height: int, width: int) -> int:
        """Return 0: no method keeps maps of it."""
        return 0

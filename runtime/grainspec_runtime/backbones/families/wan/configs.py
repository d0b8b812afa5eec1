"""The configuration of a Wan checkpoint: read it, and check it. Free of torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from grainspec.model.spec import Size
from grainspec_runtime.models.config import number_in, numbers_in, read_json
from grainspec_runtime.models.folder import ModelFolder

Config = Mapping[str, Any]

EXPERTS = ("transformer", "transformer_2")
"""The transformers of a pipeline: for all noise levels, or for high and low ones (2.2 A14B)."""

NO_CONFIG = ("tokenizer", "image_processor")
"""Components without a ``config.json``."""

MAX_TOKENS = 512
"""Text tokens that Wan was trained on; diffusers' pipelines pad to as many by default."""

_WIDE = 5120
"""Width of the 14B transformers, which were trained on 720p too; the smaller ones on 480p."""
_HIGH_SHIFT = 5.0
"""The flow shift of published configurations for 720p, as diffusers' guide has it; 480p: 3."""


@dataclass(frozen=True)
class WanConfigs:
    """The configurations of a checkpoint's components, by name, and what follows from them.

    ``index`` is its ``model_index.json``, ``scheduler`` the configuration of its scheduler.
    """

    parts: Mapping[str, Config]
    scheduler: Config
    index: Config

    @property
    def transformer(self) -> Config:
        """The transformer, of two experts the one for high noise."""
        return self.parts["transformer"]

    @property
    def experts(self) -> dict[str, Config]:
        """The transformers by component: two in Wan 2.2 A14B, else one."""
        return {name: self.parts[name] for name in EXPERTS if name in self.parts}

    @property
    def vae(self) -> Config:
        """The VAE."""
        return self.parts["vae"]

    @property
    def channels(self) -> int:
        """Channels of a latent."""
        return number_in(self.vae, "z_dim", 16)

    @property
    def pixels_per_latent(self) -> int:
        """Width and height in pixels of one latent."""
        return number_in(self.vae, "scale_factor_spatial", 8)

    @property
    def frames_per_latent(self) -> int:
        """Frames per latent frame after the first."""
        return number_in(self.vae, "scale_factor_temporal", 4)

    @property
    def patch(self) -> tuple[int, int, int]:
        """Latents on each side of a latent token: frames, rows, columns."""
        frames, rows, columns = numbers_in(self.transformer, "patch_size") or (1, 2, 2)
        return frames, rows, columns

    @property
    def size_multiple(self) -> int:
        """What width and height of a frame must be multiples of, in pixels."""
        return self.pixels_per_latent * self.patch[1]

    @property
    def layers(self) -> int:
        """Transformer blocks."""
        return number_in(self.transformer, "num_layers", 40)

    @property
    def most_places(self) -> int:
        """The most latent frames, rows and columns of latent tokens with a position embedding."""
        return int(setting_of(self.transformer, "rope_max_seq_len"))

    @property
    def boundary(self) -> float | None:
        """The share of T from which on the first of two experts predicts; None for one expert."""
        ratio = self.index.get("boundary_ratio")
        return None if ratio is None else float(ratio)

    @property
    def expands_timesteps(self) -> bool:
        """Whether the transformer gets a timestep for every latent token, as TI2V-5B does."""
        return bool(self.index.get("expand_timesteps"))

    @property
    def is_vace(self) -> bool:
        """Whether the transformer has VACE's control blocks."""
        return self.index.get("_class_name") == "WanVACEPipeline"

    @property
    def control_layers(self) -> list[int]:
        """The transformer blocks that VACE's control blocks add to; none without VACE."""
        layers = numbers_in(self.transformer, "vace_layers") or [*range(0, 40, 5)]
        return layers if self.is_vace else []

    @property
    def gets_image(self) -> bool:
        """Whether the transformer gets the latents of an image, and its mask, as more channels."""
        is_image = self.index.get("_class_name") == "WanImageToVideoPipeline"
        return is_image and not self.expands_timesteps

    @property
    def native_size(self) -> Size:
        """The frame size that a checkpoint was trained on.

        Configurations do not tell it. It is 1280x704 with the 16x VAE of TI2V-5B; 1280x720 for a
        14B transformer whose schedule has the shift of 720p, which FLF2V and the 720p versions of
        I2V have; and else 832x480, which all others were trained on. A model whose position
        embedding has fewer places was trained on squares that fill them.
        """
        longest = self.most_places * self.size_multiple
        if longest < 480:
            return Size(width=longest, height=longest)
        if self.pixels_per_latent > 8:
            return Size(width=1280, height=704)
        shift = self.scheduler.get("flow_shift", self.scheduler.get("shift")) or 1.0
        if width_of(self.transformer) >= _WIDE and shift >= _HIGH_SHIFT:
            return Size(width=1280, height=720)
        return Size(width=832, height=480)


_DEFAULTS: dict[str, Any] = {
    "patch_size": [1, 2, 2],
    "num_attention_heads": 40,
    "attention_head_dim": 128,
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": 4096,
    "freq_dim": 256,
    "ffn_dim": 13824,
    "num_layers": 40,
    "cross_attn_norm": True,
    "rope_max_seq_len": 1024,
    "vace_in_channels": 96,
}
"""diffusers' defaults of a transformer's settings; those of others are None."""


def setting_of(transformer: Config, name: str) -> Any:
    """Return a setting of a transformer, or diffusers' default if it is missing or null."""
    value = transformer.get(name)
    return _DEFAULTS.get(name) if value is None else value


def width_of(transformer: Config) -> int:
    """Return the width of a transformer: its heads times the channels of each."""
    heads = number_in(transformer, "num_attention_heads", 40)
    return heads * number_in(transformer, "attention_head_dim", 128)


def read_configs(model: ModelFolder, parts: Collection[str]) -> WanConfigs:
    """Read the configurations of a checkpoint with these components, and of its scheduler.

    Raises GrainError: G502 if one is missing or broken, G528 if one is not accepted.
    """
    configs = {
        part: read_json(model.folder / part / "config.json", model.span)
        for part in parts
        if not part.startswith(NO_CONFIG)
    }
    scheduler = read_json(model.folder / "scheduler" / "scheduler_config.json", model.span)
    return WanConfigs(configs, scheduler, model.index)

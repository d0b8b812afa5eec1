"""What a file of LoRA weights contains: formats of kohya, peft and diffusers. Free of torch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from grainspec.diagnostics import fail
from grainspec_runtime.models.weights import SUFFIX, UnreadableWeights, WeightsHeader, read_header

OTHER_LORA = "Use a LoRA that was trained for this kind of Stable Diffusion."

_WEIGHT = re.compile(
    r"(?P<module>.+?)(?:\.processor)?"
    r"(?:[._]lora_[AB](?:\.\w+)?\.weight|\.lora_(?:down|up|mid)\.weight"
    r"|[._]lora(?:_linear_layer)?\.(?:down|up)\.weight|\.(?:hada|lokr)_\w+)"
)
"""A tensor that belongs to a module; its scale (``alpha``) and the like do not count."""
_INPUT = re.compile(r"[._](?:lora_A(?:\.\w+)?|lora_down|(?:lora|lora_linear_layer)\.down)\.weight$")
"""The matrix from the module's input to the rank: ``[rank, width, …]``."""
_WAN = (
    r"((transformer(_2)?|diffusion_model|base_model\.model)\.|lora_unet_)?"
    r"((vace_)?blocks[._](?P<block>\d+)[._](attn[12]|self_attn|cross_attn|ffn)|"
    r"(condition_embedder|time_projection|time_embedding|text_embedding|head|proj_out)[._])"
)
"""How the modules of Wan's transformers begin, in files of diffusers, Wan and musubi-tuner."""
_PARTS = (
    (r"(lora_te2_|text_encoder_2\.)", "text encoder 2"),
    (r"(lora_te1?_|text_encoder\.)", "text encoder"),
    (_WAN, "transformer"),
    (r"", "UNet"),
)
_TRANSFORMER = re.compile(
    r".*(double_blocks|single_blocks|single_transformer_blocks|joint_blocks)|"
    r"(transformer\.|diffusion_model\.|lora_unet_)?(transformer_blocks|blocks|layers)[._]\d+[._]"
)
_KINDS = {768: "1.x", 1024: "2.x", 2048: "XL"}
"""Widths of text embeddings, and the kind of Stable Diffusion that has them."""


@dataclass(frozen=True)
class LoraFile:
    """A LoRA: for every module the part of the model that it belongs to, and its ranks."""

    header: WeightsHeader
    modules: Mapping[str, str]
    ranks: tuple[int, ...]

    @property
    def path(self) -> Path:
        """The file."""
        return self.header.path

    @property
    def counts(self) -> Counter[str]:
        """The number of modules for each part of a model."""
        return Counter(self.modules.values())

    @property
    def names(self) -> list[str]:
        """The names that the file and its trainer give the LoRA."""
        titles = ("ss_output_name", "modelspec.title", "name")
        return [self.path.stem, *(self.header.metadata.get(title, "") for title in titles)]

    @property
    def text_width(self) -> int | None:
        """The width of the text embeddings that it was trained on; None if it does not tell."""
        for name, shape in self.header.shapes.items():
            if "attn2" in name and re.search(r"to_[kv]", name) and _INPUT.search(name):
                return shape[1]
        return None

    @property
    def is_wan(self) -> bool:
        """Whether it is for Wan's transformers."""
        return self.blocks > 0

    @property
    def is_transformer(self) -> bool:
        """Whether it is for a diffusion transformer."""
        return self.is_wan or any(map(_TRANSFORMER.match, self.modules))

    @property
    def blocks(self) -> int:
        """The number of transformer blocks of the Wan model that it was trained on, at least."""
        found = filter(None, (re.match(_WAN, module) for module in self.modules))
        return max((int(one["block"]) + 1 for one in found if one["block"]), default=0)

    @property
    def width(self) -> int | None:
        """The width of the Wan transformer that it was trained on; None if it does not tell."""
        for name, shape in self.header.shapes.items():
            query = re.search(r"attn[12]\.to_q|(self|cross)_attn[._]q", name)
            if query and _INPUT.search(name) and len(shape) == 2:
                return shape[1]
        return None


def read_lora(path: Path) -> LoraFile:
    """Read the header of a LoRA; raises GrainError (G508) if the file is none."""
    header = read_addition(path, "LoRA")
    modules: dict[str, str] = {}
    for name in header.shapes:
        if match := _WEIGHT.match(name):
            module = match["module"]
            modules[module] = next(part for start, part in _PARTS if re.match(start, module))
    if not modules:
        message = (
            f"{path} does not contain a LoRA: "
            f"none of its {len(header.shapes)} tensors has `lora` in its name"
        )
        cure = f"If it is a textual inversion, load it with `--embedding {path}`."
        raise fail("G508", message, cure)
    ranks = {shape[0] for name, shape in header.shapes.items() if _INPUT.search(name) and shape}
    return LoraFile(header, modules, tuple(sorted(ranks)))


def check_lora_width(lora: LoraFile, text_width: int) -> None:
    """Raise GrainError (G508) if a LoRA was trained for a UNet of another kind."""
    if lora.is_transformer:
        kind = "Wan, a video transformer" if lora.is_wan else "a diffusion transformer"
        message = f"the LoRA {lora.path} does not fit the model: it is for {kind}"
        raise fail("G508", message, OTHER_LORA)
    width = lora.text_width
    if width is not None and width != text_width:
        kind = f" (Stable Diffusion {_KINDS[width]})" if width in _KINDS else ""
        own = f" ({_KINDS[text_width]})" if text_width in _KINDS else ""
        message = (
            f"the LoRA {lora.path} does not fit the model: it is for text embeddings of width "
            f"{width}{kind}, but the model's have {text_width}{own}"
        )
        raise fail("G508", message, OTHER_LORA)


def read_addition(path: Path, kind: str) -> WeightsHeader:
    """Read the header of a LoRA or a textual inversion; raises GrainError (G508)."""
    if path.suffix != SUFFIX:
        message = f"{path} is not a safetensors file"
        cure = "Other formats (.bin, .pt, .ckpt) are not loaded, because they can run any program."
        raise fail("G508", message, cure)
    try:
        return read_header(path)
    except UnreadableWeights as error:
        message = f"the {kind} {path} {error}"
        raise fail("G508", message, error.cure) from error

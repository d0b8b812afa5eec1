"""The backbone of a test where none is given: one that has what the spec asks for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from grainspec.model.spec import EditSpec
from grainspec.plan.backbone import Backbone
from grainspec.testing.backbone import PaddingKeys, word_backbone


@dataclass(frozen=True)
class StandIn:
    """The arguments of a :func:`word_backbone`.

    >>> print(StandIn(levels=2, attended=(1,)))
    word_backbone(levels=2, attended=(1,))
    """

    levels: int = 4
    pixels_per_latent: int = 8
    max_tokens: int = 77
    frames_per_latent: int = 1
    attended: tuple[int, ...] | None = None
    layer_count: int | None = None
    patch: int = 1
    first_frames: int = 1
    shift: float | None = None
    padding_keys: PaddingKeys = "modulated"
    start_tokens: int = 1
    padded: Literal["right", "left"] = "right"

    def backbone(self) -> Backbone:
        """The backbone itself."""
        return word_backbone(**asdict(self))

    def __str__(self) -> str:
        return repr(self.backbone())


def stand_in(spec: EditSpec, width: int, height: int) -> StandIn:
    """A stand-in for frames of this size, with the levels and text tokens that the spec needs.

    It has up to four levels, as many as the frame allows, or those that the spec names. It is a
    transformer if the spec has settings that are for transformers.
    """
    cell = next(side for side in range(8, 0, -1) if width % side == height % side == 0)
    shorter, levels = min(width, height) // cell, 1
    while levels < 4 and shorter >> levels >= 2:
        levels += 1
    return StandIn(
        max(levels, levels_needed(spec)),
        cell,
        tokens_needed(spec),
        layer_count=layers_needed(spec),
    )


def levels_needed(spec: EditSpec) -> int:
    """The number of levels of a backbone that has all those which the spec names."""
    levels = spec.modulation.levels
    return 1 if levels == "all" else max(levels) + 1


def layers_needed(spec: EditSpec) -> int | None:
    """The number of layers of a transformer that has those which the spec names; None if none.

    >>> from grainspec import parse
    >>> text = 'grain 1 video "c" target "a" region r = all edit r -> "a" attention { layers 40 }'
    >>> layers_needed(parse(text))
    41
    """
    layers, columns = spec.modulation.layers, spec.modulation.columns
    if layers == "all" and columns == 0:
        return None
    return 30 if layers == "all" else max(29, *layers) + 1


def tokens_needed(spec: EditSpec) -> int:
    """The length of a text encoder's input that has room for the target: 77, or more."""
    most = len(spec.target) + 2  # a word has at least one character
    if most <= 77:
        return 77
    read = word_backbone(max_tokens=most).tokenize(spec.target)
    return max(77, sum(start < end for start, end in read) + 2)

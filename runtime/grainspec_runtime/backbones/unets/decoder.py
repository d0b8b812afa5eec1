"""Choose the layers of a UNet's decoder that `inject` replaces, from the configuration.

Residual blocks and attentions have diffusers' names. Free of torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grainspec.diagnostics import GrainError, fail
from grainspec.model.spec import Inject, Levels

_PLUG_AND_PLAY = 1
"""Index of the first residual block of Plug-and-Play, in the coarsest level with attention. It is
layer 4 of the decoder of Stable Diffusion 1.x, whose coarsest level has the layers 0 to 2."""


@dataclass(frozen=True)
class InjectedLayers:
    """Names of modules of a UNet: residual blocks, and groups of transformer blocks."""

    residual: tuple[str, ...]
    attention: tuple[str, ...]


@dataclass(frozen=True)
class _Block:
    """A block of the decoder: its level, 0 being the finest, and its number of layers."""

    name: str
    level: int
    layers: int
    attends: bool

    def residual(self, first: int = 0) -> list[str]:
        return [f"{self.name}.resnets.{layer}" for layer in range(first, self.layers)]

    def attention(self, first: int = 0) -> list[str]:
        layers = range(first, self.layers if self.attends else 0)
        return [f"{self.name}.attentions.{layer}" for layer in layers]


def injected_layers(inject: Inject, config: Mapping[str, Any]) -> InjectedLayers:
    """Return the layers of a UNet with this configuration that ``inject`` replaces.

    A kind whose share is 0% has no layers. By default they are those of Plug-and-Play, or, with
    `layers videograin`, of VideoGrain's code: on Stable Diffusion 1.x, residual blocks 0 and 1 of
    ``up_blocks.1`` and 0 of ``up_blocks.2``, and self-attention 1 and 2 of ``up_blocks.1``, all of
    ``up_blocks.2`` and 0 of ``up_blocks.3``. Raises GrainError (G404) for levels that the decoder
    lacks, or that have no attention in the decoder.
    """
    blocks = _blocks(config)
    residual: Sequence[str] = ()
    attention: Sequence[str] = ()
    attending = [block for block in blocks if block.attends]
    if inject.features:
        if inject.feature_levels is None:
            residual = _default_residual(inject, _first(attending, inject), attending[1:])
        else:
            chosen = _chosen(inject, "feature_levels", inject.feature_levels, blocks, blocks)
            residual = [name for block in chosen for name in block.residual()]
    if inject.self_:
        if inject.self_levels is None:
            attention = _default_attention(inject, _first(attending, inject), attending[1:])
        else:
            chosen = _chosen(inject, "self_levels", inject.self_levels, attending, blocks)
            attention = [name for block in chosen for name in block.attention()]
    return InjectedLayers(tuple(residual), tuple(attention))


def _default_residual(inject: Inject, first: _Block, finer: Sequence[_Block]) -> list[str]:
    if inject.layers == "plug_and_play":
        return first.residual(_PLUG_AND_PLAY)[:1]
    return first.residual()[:2] + [name for block in finer[:1] for name in block.residual()[:1]]


def _default_attention(inject: Inject, first: _Block, finer: Sequence[_Block]) -> list[str]:
    names = [first.attention(_PLUG_AND_PLAY), *(block.attention() for block in finer)]
    if inject.layers == "videograin" and finer:
        names[-1] = names[-1][:1]
    return [name for some in names for name in some]


def _blocks(config: Mapping[str, Any]) -> list[_Block]:
    """List the decoder's blocks, coarsest first; defaults are diffusers'."""
    kinds = config.get("up_block_types", ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3))
    layers = config.get("layers_per_block", 2)
    counts = [layers] * len(kinds) if isinstance(layers, int) else list(reversed(layers))
    return [
        _Block(f"up_blocks.{index}", len(kinds) - 1 - index, count + 1, "CrossAttn" in kind)
        for index, (kind, count) in enumerate(zip(kinds, counts, strict=True))
    ]


def _first(attending: Sequence[_Block], inject: Inject) -> _Block:
    if not attending:
        message = "the model's decoder has no self-attention"
        cure = "Write `self 0%`, and set `feature_levels`."
        raise fail("G404", message, cure, inject.span)
    return attending[0]


def _chosen(
    inject: Inject,
    name: str,
    levels: Levels,
    able: Sequence[_Block],
    blocks: Sequence[_Block],
) -> list[_Block]:
    """Return the blocks at ``levels``, which must be among the ``able`` ones."""
    known = sorted(block.level for block in able)
    wanted = known if isinstance(levels, str) else levels
    for level in wanted:
        if level not in known:
            raise _no_level(inject, name, level, known, exists=level < len(blocks))
    if not wanted:
        raise _no_level(inject, name, None, known, exists=True)
    return [block for block in able if block.level in wanted]


def _no_level(
    inject: Inject, name: str, level: int | None, known: Sequence[int], *, exists: bool
) -> GrainError:
    what = "no self-attention" if exists else "no level"
    where = "" if level is None else f" at level {level}" if exists else f" {level}"
    cure = f"Choose from `{name} {' '.join(map(str, known))}`." if known else "Write `self 0%`."
    return fail("G404", f"the model's decoder has {what}{where}", cure, inject.span_of(name))

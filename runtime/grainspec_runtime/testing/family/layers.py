"""What a family's layers are: named as modules, with latent tokens in the order of the frame.

Dimensions: P passes, F frames, N tokens of a frame, H heads, d head size.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

from grainspec.diagnostics import GrainError
from grainspec_runtime.modulation.layers import AttentionLayer
from grainspec_runtime.testing.family.corners import CORNERS, corner_mask, means_of_corners
from grainspec_runtime.testing.family.observe import Probe, by_frame
from grainspec_runtime.testing.family.registry import family_property, require
from grainspec_runtime.testing.family.subject import COLUMNS, ROWS, TARGET, Subject


def probed(subject: Subject) -> Probe:
    """What the layers of the denoiser receive in a pass with guidance."""
    probe = Probe(subject.latent_frames)
    subject.prediction(probe, ("", TARGET))
    return probe


@family_property("layers")
def layers(subject: Subject) -> None:
    """Layers have the names of modules, and the latent tokens of their plan's level."""
    name, plan, backbone = "layers", subject.plan(), subject.backbone
    probe = probed(subject)
    seen = probe.seen
    levels, attended = {layer.level for layer in seen}, set(backbone.attended_levels)
    require(
        levels == attended,
        name,
        f"layers attend at levels {sorted(levels)}, but described are {sorted(attended)}",
    )
    kinds = {layer.kind for layer in seen}
    require(
        kinds in ({"self", "cross"}, {"joint"}), name, f"layers are of the kinds {sorted(kinds)}"
    )
    require(not probe.repeated, name, f"two layers are the same: {probe.repeated[:1]}")
    names = [layer.name for layer in seen]
    require(len(set(names)) == len(names), name, "two layers have one name")
    modules = _names_of_modules(subject)
    for layer, received in seen.items():
        require(layer.name in modules, name, f"the denoiser has no module {layer.name}")
        across = "cross" if layer.name in probe.across else "self"
        require(
            layer.kind in (across, "joint"),
            name,
            f"the layer {layer.name} is of the kind {layer.kind}, but computes {across}-attention",
        )
        tokens, grid = received.query.shape[2], plan.levels[layer.level].labels_FHW.shape[1:]
        if subject.one_sequence:
            grid = (subject.latent_frames * grid[0], grid[1])
        require(
            tokens == grid[0] * grid[1],
            name,
            f"the layer {layer.name} has {tokens} latent tokens, but its level {layer.level} has "
            f"{grid[0]} x {grid[1]}",
        )
        if across == "cross":
            text = received.key.shape[2]
            require(
                text == backbone.max_tokens,
                name,
                f"the layer {layer.name} is of the kind cross, but has {text} keys, where there "
                f"are {backbone.max_tokens} text tokens",
            )


def _names_of_modules(subject: Subject) -> set[str]:
    """The names of the denoiser's modules; of several experts, those within each."""
    network = subject.checkpoint.denoiser
    experts = network.values() if isinstance(network, torch.nn.ModuleDict) else [network]
    return set.intersection(*({name for name, _ in it.named_modules()} for it in experts))


@family_property("tokens")
def tokens(subject: Subject) -> None:
    """Latent tokens are in the order of passes, frames, rows and columns."""
    with _without_attention():
        _check_tokens(subject)


@contextmanager
def _without_attention() -> Iterator[None]:
    """Let attention that a family leaves alone, as that of control blocks, return zeros too."""
    with mock.patch.object(F, "scaled_dot_product_attention", _zeros):
        yield


def _zeros(query: Tensor, *_: Any, **__: Any) -> Tensor:
    return torch.zeros_like(query)


def _check_tokens(subject: Subject) -> None:
    frames = subject.latent_frames
    probe = Probe(frames, silent=True)
    generator = torch.Generator().manual_seed(subject.seed)
    scale = _scale(subject)
    shape = (2 * frames, subject.latents.shape[1], scale * ROWS, scale * COLUMNS)
    base, noise = torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)
    try:
        before = _queries(subject, probe, base)
    except GrainError:  # models that are shown the clip run on latents of its size
        rows, columns = subject.latents.shape[2:]
        base, noise = base[..., :rows, :columns], noise[..., :rows, :columns]
        before = _queries(subject, probe, base)
    for place, corner in enumerate(CORNERS):
        # frames take turns, in the unconditional pass and in the other
        for row in (place % frames, frames + place % frames):
            changed = base.clone()
            changed[row] += 0.02 * noise[row] * corner_mask(corner, base.shape[-2:])
            for layer, query in _queries(subject, probe, changed).items():
                away_BN = (query - before[layer]).norm(dim=-1).mean(1)
                _check_frame(subject, layer, away_BN, row)
                _check_corner(subject, layer, away_BN[row], corner)


def _scale(subject: Subject) -> int:
    """How much larger frames are than the clip's, so that tokens of the coarsest level differ."""
    return 4 if subject.one_sequence else 8


def _queries(subject: Subject, probe: Probe, latents: Tensor) -> dict[AttentionLayer, Tensor]:
    subject.prediction(probe, ("", TARGET), latents=latents)
    queries = {layer: received.query for layer, received in probe.seen.items()}
    if not subject.one_sequence:
        return queries
    return {layer: by_frame(query, subject.latent_frames) for layer, query in queries.items()}


def _check_frame(subject: Subject, layer: AttentionLayer, away_BN: Tensor, row: int) -> None:
    frames = subject.latent_frames
    most = int(away_BN.sum(1).argmax())
    others = away_BN.clone()
    others[row] = 0
    # the norms of motion modules are over the clip: every frame changes a little with each
    near = 0.01 if subject.backbone.motion_modules else 1e-3
    require(
        most == row and others.max() <= near * away_BN[row].max(),
        "tokens",
        f"latents were changed in frame {row % frames} of pass {row // frames}, but the layer "
        f"{layer.name} receives other tokens in frame {most % frames} of pass {most // frames}",
    )


def _check_corner(subject: Subject, layer: AttentionLayer, away_N: Tensor, corner: str) -> None:
    unit = _scale(subject) * subject.backbone.pixels_per_latent
    rows, columns = subject.backbone.grids(COLUMNS * unit, ROWS * unit)[layer.level]
    if min(rows, columns) < 2 * COLUMNS or len(away_N) != rows * columns:
        return  # every token sees the whole frame
    means = means_of_corners(away_N.reshape(rows, columns))
    found = max(means, key=means.__getitem__)
    others = [mean for each, mean in means.items() if each != found]
    require(
        found == corner and max(others) < 0.9 * means[corner],
        "tokens",
        f"latents were changed at the {corner}, but tokens of the layer {layer.name} change at the "
        f"{found}, and by {max(others) / means[found]:.0%} as much elsewhere, if they are {rows} "
        f"rows of {columns}: they are in another order",
    )

"""What a family's attention refuses, and the motion paths that it follows.

Dimensions: F frames, N tokens of a frame, H heads, d head size, T paths, L tokens of a path.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from grainspec.diagnostics import GrainError
from grainspec.model.spec import Flow
from grainspec_runtime.flow.trajectories import Trajectories
from grainspec_runtime.testing.family.attention import drawn
from grainspec_runtime.testing.family.layers import probed
from grainspec_runtime.testing.family.registry import family_property, require
from grainspec_runtime.testing.family.subject import STEPS, TIMESTEP, Subject, unmodulated


@family_property("mismatch")
def mismatch(subject: Subject) -> None:
    """A plan for another number of frames or another frame size is refused."""
    plan = subject.plan()
    frames = subject.latent_frames

    def more_frames() -> None:
        subject.checkpoint.attention(frames + 1, plan.attention, plan=plan)

    def other_size() -> None:
        rows, columns = subject.latents.shape[-2:]
        larger = torch.zeros(frames, subject.latents.shape[1], rows * 2, columns)
        subject.prediction(subject.attention(plan, plan.attention), latents=larger)

    _is_refused("a clip of one more latent frame than the plan's", more_frames)
    _is_refused("frames of twice the plan's height", other_size)


def _is_refused(what: str, run: Callable[[], None]) -> None:
    try:
        run()
    except GrainError:
        return
    except Exception as error:
        message = f"{what}: raises {type(error).__name__}, not a GrainError: {error}"
        require(False, "mismatch", message)
    require(False, "mismatch", f"{what}: is not refused")


@family_property("paths")
def paths(subject: Subject) -> None:
    """At a level with motion paths, the tokens of each path also attend to one another.

    A family without motion paths refuses `flow` before a model is loaded.
    """
    if subject.one_sequence:
        spec = subject.spec().replaced({}, flow=Flow())
        try:
            subject.family.check(spec, Path(), subject.located)
        except GrainError:
            return
        require(False, "paths", "`check` accepts `flow`, which video transformers do not follow")
    layer, received = next(
        (layer, received)
        for layer, received in probed(subject).seen.items()
        if layer.kind != "cross"
    )
    frames, tokens = subject.latent_frames, received.query.shape[2]
    random = np.random.default_rng(subject.seed)
    # A token of each frame, in an order of its own; the last token of each frame has no path.
    by_frame = [frame * tokens + random.permutation(tokens - 1) for frame in range(frames)]
    table_TL = np.stack(by_frame, 1)
    path_FN = np.zeros((frames, tokens), np.int64)
    grid = subject.plan().levels[layer.level].labels_FHW.shape[1:]
    motion = Trajectories((grid[0], grid[1]), path_FN, (table_TL,))
    settings = unmodulated(subject.plan())
    q, k, v = (tensor[:frames] for tensor in drawn(received, subject.seed))
    outs = []
    for given in ({}, {layer.level: motion}):
        attention = subject.attention(None, settings, paths=given)
        attention.begin_step(0, STEPS, TIMESTEP)
        with torch.no_grad():
            outs.append(attention.self_attention(layer, q, k, v))
    before, after = outs
    expected = _along(table_TL, *(_by_token(tensor) for tensor in (q, k, before)))
    away = (_by_token(after) - expected).abs().amax((1, 2))
    token = int(away.argmax())
    require(
        away.max() <= 1e-4,
        "paths",
        f"the result is {float(away.max()):.2g} away from attention along the motion paths, for a "
        f"token {'of a' if token % tokens < tokens - 1 else 'without a'} path",
        frame=token // tokens,
        token=token % tokens,
        layer=layer.name,
    )


def _by_token(tensor_FHNd: Tensor) -> Tensor:
    """``[F * N, H, d]``, float64."""
    return tensor_FHNd.double().permute(0, 2, 1, 3).flatten(0, 1)


def _along(table_TL: np.ndarray[tuple[int, ...], np.dtype[np.int64]], *by_token: Tensor) -> Tensor:
    """Attention among the tokens of every path by itself; others stay as they are."""
    query, key, value = by_token
    out = value.clone()
    for path_L in torch.from_numpy(table_TL):
        scores = torch.einsum("lhd,mhd->hlm", query[path_L], key[path_L]) / query.shape[-1] ** 0.5
        out[path_L] = torch.einsum("hlm,mhd->lhd", scores.softmax(-1), value[path_L])
    return out

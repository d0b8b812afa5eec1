"""The motion paths of latent tokens through a clip.

A path starts at the centre of a latent token and follows the flow from frame to frame. Its position
is kept at sub-pixel precision, so that slow motion adds up instead of being rounded away at every
step. In each frame the path belongs to the token it lies on. It ends where the flow is unreliable
(occluded, or out of the frame) or where an older path reaches the same token. A token that no path
reaches starts a new one. So every token is on exactly one path, possibly of a single frame.

Published code loops over every pixel in Python and stores, for each token, a padded list of the
others on its path. Here each frame is one vectorized step over all paths, and paths are grouped by
length, without padding: F * N integers in all, for F frames of N tokens.

Dimensions: F frames, h by w latent tokens, N = h * w, T paths, L tokens per path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from grainspec_runtime.flow.clip_flow import ClipFlow
from grainspec_runtime.flow.warp import at_points, inside

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Trajectories:
    """The motion paths of a clip's latent tokens on a grid of ``shape``, ``(h, w)``.

    path_FN: int64 ``[F, N]``, the number of the path that each token is on.
    by_length_TL: for every length L of at least 2, int64 ``[T, L]``: the tokens ``f * N + n`` of
    each path of that length, in frame order. Paths of a single token are omitted.
    """

    shape: tuple[int, int]
    path_FN: Numbers
    by_length_TL: tuple[Numbers, ...]

    @property
    def frames(self) -> int:
        """The number of frames, F."""
        return len(self.path_FN)

    @property
    def tokens(self) -> int:
        """The number of latent tokens per frame, N."""
        return self.shape[0] * self.shape[1]

    @property
    def share_on_paths(self) -> float:
        """The share of tokens whose path spans at least two frames, from 0 to 1."""
        return sum(table.size for table in self.by_length_TL) / max(self.path_FN.size, 1)


def trajectories(
    flow: ClipFlow,
    shape: tuple[int, int],
    labels_FN: npt.NDArray[Any] | None = None,
    frames: Sequence[int] | None = None,
) -> Trajectories:
    """Trace the latent tokens of an ``(h, w)`` grid along a clip's flow.

    With ``labels_FN``, a path also ends before it enters a token with another label. ``frames`` are
    indices into the clip, in ascending order; None means all. Where ``frames`` skips one, every
    path ends, because flow is known only between consecutive frames. Time and memory are
    proportional to F * N.

    >>> right = np.zeros((2, 2, 4, 2), np.float32) + np.float32([1, 0])
    >>> paths = trajectories(ClipFlow(right, -right), (1, 2))  # half a token per frame
    >>> paths.path_FN.tolist(), [table.tolist() for table in paths.by_length_TL]
    ([[0, 1], [2, 0], [3, 0]], [[[0, 3, 5]]])
    """
    height, width = flow.size
    h, w = shape
    cell = np.array([width / w, height / h], np.float32)
    down, across = np.mgrid[:h, :w]
    centres_N2 = (np.stack([across, down], -1).reshape(-1, 2) + 0.5).astype(np.float32) * cell - 0.5
    tokens = h * w
    frames = range(flow.frames) if frames is None else frames
    path_FN = np.empty((len(frames), tokens), np.int64)
    path_FN[0] = np.arange(tokens)
    points, born, count = centres_N2.copy(), np.zeros(tokens, np.int64), tokens
    for index, (frame, after) in enumerate(pairwise(frames)):
        if after == frame + 1:
            reached = points + at_points(flow.forward_PHW2[frame], points)
            going = _at_nearest(flow.seen_after_PHW[frame], points) & inside(reached, flow.size)
            sources = np.flatnonzero(going)
        else:
            reached, sources = points, np.zeros(0, np.int64)
        columns_rows = np.floor((reached[sources] + 0.5) / cell).astype(np.int64)
        column, row = (np.clip(columns_rows[:, i], 0, (w, h)[i] - 1) for i in (0, 1))
        targets = row * w + column
        if labels_FN is not None:
            same = labels_FN[index][sources] == labels_FN[index + 1][targets]
            sources, targets = sources[same], targets[same]
        away = np.square(reached[sources] - centres_N2[targets]).sum(-1)
        order = np.lexsort((away, born[sources]))  # oldest path first, then nearest to the centre
        targets, first = np.unique(targets[order], return_index=True)
        sources = sources[order][first]

        here, next_born = path_FN[index + 1], np.full(tokens, index + 1)
        next_points = centres_N2.copy()
        here[:] = -1
        here[targets] = path_FN[index][sources]
        next_points[targets], next_born[targets] = reached[sources], born[sources]
        new = np.flatnonzero(here < 0)
        here[new] = count + np.arange(len(new))
        count += len(new)
        points, born = next_points, next_born
    return Trajectories(shape, path_FN, _by_length(path_FN, count))


def _at_nearest(mask_HW: npt.NDArray[np.bool_], points_N2: npt.NDArray[np.float32]) -> Numbers:
    """Read a mask at the pixel nearest to each point."""
    height, width = mask_HW.shape
    across, down = np.rint(points_N2).astype(np.intp).T
    return np.asarray(mask_HW[np.clip(down, 0, height - 1), np.clip(across, 0, width - 1)])


def _by_length(path_FN: Numbers, count: int) -> tuple[Numbers, ...]:
    """Group the tokens of paths by path length, in frame order."""
    flat = path_FN.ravel()
    order = np.argsort(flat, kind="stable")  # stable: tokens of a path stay in frame order
    lengths = np.bincount(flat, minlength=count)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    shared = (length for length in np.unique(lengths) if length > 1)
    return tuple(order[starts[lengths == n][:, None] + np.arange(n)] for n in shared)

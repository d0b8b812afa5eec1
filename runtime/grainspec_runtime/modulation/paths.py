"""Attention along the paths of optical flow, as in FLATTEN (Cong et al., ICLR 2024).

Dimensions: F frames, N tokens of a frame, H heads, d head size, T paths, L tokens of a path.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

_PATHS = 8192
"""Paths at a time: it bounds what is gathered, and some of CUDA's kernels take 65535 at most."""


def attend_along_paths(
    query_FHNd: Tensor, key_FHNd: Tensor, value_FHNd: Tensor, by_length_TL: Sequence[Tensor]
) -> Tensor:
    """Let the tokens of each path attend to each other, and to no others: ``[F, H, N, d]``.

    ``query`` and ``key`` are those of the layer's self-attention, ``value`` is what it gave. For
    the tokens P of a path, out_P = softmax(Q_P K_P^T / √d) V_P. ``by_length_TL`` holds for every
    length the tokens ``f * N + n`` of the paths of that length, as
    :class:`~grainspec_runtime.flow.trajectories.Trajectories` has them: no padding, no mask. A
    token that is on no path with others keeps its value, as it would attend to itself alone.
    """
    frames = len(query_FHNd)
    query, key, value = (
        tensor.transpose(1, 2).flatten(0, 1) for tensor in (query_FHNd, key_FHNd, value_FHNd)
    )  # each [F * N, H, d]
    out = value.clone()
    for table_TL in by_length_TL:
        for paths_TL in table_TL.split(_PATHS):
            q, k, v = (tensor[paths_TL].transpose(1, 2) for tensor in (query, key, value))
            out[paths_TL] = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
    by_frame: Tensor = out.unflatten(0, (frames, -1)).transpose(1, 2)
    return by_frame

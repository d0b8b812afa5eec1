"""Attention along motion paths of optical flow, as in FLATTEN (Cong et al., ICLR 2024).

Dimensions: F frames, N tokens of a frame, H heads, d head size, T paths, L tokens of a path.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

_PATHS = 8192
"""Paths processed at once: bounds memory; some CUDA kernels accept at most 65535."""


def attend_along_paths(
    query_FHNd: Tensor, key_FHNd: Tensor, value_FHNd: Tensor, by_length_TL: Sequence[Tensor]
) -> Tensor:
    """Compute attention among the latent tokens of each path: ``[F, H, N, d]``.

    ``query`` and ``key`` are those of the layer's self-attention, ``value`` is its output. For the
    tokens P of a path, out_P = softmax(Q_P K_P^T / √d) V_P. ``by_length_TL`` has one table per path
    length, with the tokens ``f * N + n`` of the paths of that length, from
    :class:`~grainspec_runtime.flow.trajectories.Trajectories`; there is no padding and no mask. A
    token that shares no path keeps its value, because it would attend to itself only.
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

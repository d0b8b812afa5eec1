"""CLIP-F and CLIP-T: similarity of consecutive frames, and of frames and the target prompt.

Dimensions: F frames, D the dimension of CLIP's embedding space.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Embeddings = npt.NDArray[np.floating[Any]]


def clip_f(frames_FD: Embeddings) -> float | None:
    """Mean cosine similarity of consecutive frame embeddings, × 100; None for a single frame.

    >>> clip_f(np.array([[1.0, 0], [2, 0], [0, 1]]))
    50.0
    """
    if len(frames_FD) < 2:
        return None
    unit = _unit(frames_FD)
    return float((unit[1:] * unit[:-1]).sum(-1).mean() * 100)


def clip_t(frames_FD: Embeddings, text_D: Embeddings) -> float:
    """Mean cosine similarity of the frame embeddings and the target prompt's embedding, × 100.

    >>> clip_t(np.array([[3.0, 0], [0, 1]]), np.array([1.0, 0]))
    50.0
    """
    return float((_unit(frames_FD) @ _unit(text_D)).mean() * 100)


def _unit(embeddings: Embeddings) -> npt.NDArray[np.float64]:
    wide = embeddings.astype(np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=-1, keepdims=True), 1e-12))

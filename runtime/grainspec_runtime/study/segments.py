"""Segment and colour self-attention features, to show which latent tokens the model finds alike."""

from __future__ import annotations

import torch
from torch import Tensor

_ROUNDS, _TRIES = 50, 4


def clusters(features_FNC: Tensor, count: int, *, seed: int = 0) -> Tensor:
    """Cluster the tokens of all frames with k-means, ``[F, N]``; the largest cluster is 0.

    Features are centred and normalized, so that distance follows cosine similarity. The best of
    several k-means++ initializations is kept; ``seed`` seeds a separate generator.

    >>> features = torch.tensor([[[0.0, 1], [0, 1.1], [1, 0], [0.1, 1]]])
    >>> clusters(features, 2).tolist()
    [[0, 0, 1, 0]]
    """
    points = _directions(features_FNC)
    generator = torch.Generator().manual_seed(seed)
    best: tuple[float, Tensor] | None = None
    for _ in range(_TRIES):
        centres = _spread(points, count, generator)
        labels = torch.zeros(len(points), dtype=torch.int64)
        for _ in range(_ROUNDS):
            nearest = _distances(points, centres).argmin(1)
            if bool((nearest == labels).all()):
                break
            labels = nearest
            sums = torch.zeros_like(centres).index_add_(0, labels, points)
            sizes = torch.bincount(labels, minlength=count)[:, None]
            centres = torch.where(sizes > 0, sums / sizes.clamp(min=1), centres)
        error = float(_distances(points, centres).amin(1).sum())
        if best is None or error < best[0]:
            best = error, labels
    assert best is not None
    order = torch.bincount(best[1], minlength=count).argsort(descending=True, stable=True)
    return order.argsort()[best[1]].reshape(features_FNC.shape[:2])


def components(features_FNC: Tensor) -> Tensor:
    """The first three principal components of all frames' tokens, ``[F, N, 3]`` in [0, 1].

    Each is scaled from its 1st to its 99th percentile; its largest weight is positive.
    """
    points = _directions(features_FNC)
    covariance = points.T @ points
    axes = torch.linalg.eigh(covariance).eigenvectors.flip(1)[:, :3]
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    scores = points @ (axes * largest.sign())
    if scores.shape[1] < 3:
        scores = torch.nn.functional.pad(scores, (0, 3 - scores.shape[1]))
    ranks = scores.sort(0).values
    low, high = ranks[len(ranks) // 100], ranks[-1 - len(ranks) // 100]
    scaled: Tensor = (scores - low) / (high - low).clamp(min=1e-12)
    return scaled.clamp(0, 1).reshape(*features_FNC.shape[:2], 3)


def _directions(features_FNC: Tensor) -> Tensor:
    points = features_FNC.flatten(0, 1).float()
    points = points - points.mean(0)
    return torch.nn.functional.normalize(points, dim=1)


def _spread(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """k-means++: draw each new centre in proportion to its squared distance from the others."""
    chosen = [points[torch.randint(len(points), (1,), generator=generator)]]
    while len(chosen) < count:
        far = _distances(points, torch.cat(chosen)).amin(1)
        chances = far if float(far.sum()) > 0 else torch.ones_like(far)
        chosen.append(points[torch.multinomial(chances, 1, generator=generator)])
    return torch.cat(chosen)


def _distances(points: Tensor, centres: Tensor) -> Tensor:
    """Squared distances ``[points, centres]``."""
    return torch.cdist(points, centres).square()

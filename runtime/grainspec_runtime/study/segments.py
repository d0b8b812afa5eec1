"""Self-attention features as segments and as colours: which tokens the model takes to be alike."""

from __future__ import annotations

import torch
from torch import Tensor

_ROUNDS, _TRIES = 50, 4


def clusters(features_FNC: Tensor, count: int, *, seed: int = 0) -> Tensor:
    """k-means of all frames' tokens together, ``[F, N]``; the largest cluster is 0.

    Tokens are compared by the direction of their features from the mean, as by a cosine. The best
    of a few beginnings by k-means++, with a generator of its own, is taken.

    >>> two = torch.tensor([[[0.0, 1], [0, 1.1], [1, 0], [0.1, 1]]])
    >>> clusters(two, 2).tolist()
    [[0, 0, 1, 0]]
    """
    points = _directions(features_FNC)
    generator = torch.Generator().manual_seed(seed)
    best: tuple[float, Tensor] | None = None
    for _ in range(_TRIES):
        centres = _spread(points, count, generator)
        labels = torch.zeros(len(points), dtype=torch.int64)
        for _ in range(_ROUNDS):
            found = _distances(points, centres).argmin(1)
            if bool((found == labels).all()):
                break
            labels = found
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
    """The three first principal components of all frames' tokens, ``[F, N, 3]`` in [0, 1].

    Each runs from the 1st to the 99th percentile; its sign is that of its largest weight.
    """
    points = _directions(features_FNC)
    covariance = points.T @ points
    axes = torch.linalg.eigh(covariance).eigenvectors.flip(1)[:, :3]
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    found = points @ (axes * largest.sign())
    if found.shape[1] < 3:
        found = torch.nn.functional.pad(found, (0, 3 - found.shape[1]))
    ranks = found.sort(0).values
    low, high = ranks[len(ranks) // 100], ranks[-1 - len(ranks) // 100]
    scaled: Tensor = (found - low) / (high - low).clamp(min=1e-12)
    return scaled.clamp(0, 1).reshape(*features_FNC.shape[:2], 3)


def _directions(features_FNC: Tensor) -> Tensor:
    points = features_FNC.flatten(0, 1).float()
    points = points - points.mean(0)
    return torch.nn.functional.normalize(points, dim=1)


def _spread(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """k-means++: every next centre is drawn by its squared distance from those there are."""
    chosen = [points[torch.randint(len(points), (1,), generator=generator)]]
    while len(chosen) < count:
        far = _distances(points, torch.cat(chosen)).amin(1)
        chances = far if float(far.sum()) > 0 else torch.ones_like(far)
        chosen.append(points[torch.multinomial(chances, 1, generator=generator)])
    return torch.cat(chosen)


def _distances(points: Tensor, centres: Tensor) -> Tensor:
    """Squared distances ``[points, centres]``."""
    return torch.cdist(points, centres).square()

"""Average the scores of cases per method and edit granularity."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from grainspec_runtime.bench.measure import is_right

Result = dict[str, Any]
"""A case's facts with the score and its key per method, or the means of several cases."""

ALL = "all"
MEASURES: tuple[tuple[str, str, str], ...] = (
    ("cases_right", "cases right", "everything is right in at least 3/4 of the frames"),
    ("right", "frames right", "frames in which everything is right"),
    ("figures", "figures right", "edited figures that are right, over all frames"),
    ("leaked", "leaked", "pixels of a figure that show another figure's target"),
    ("pose", "pose IoU", "IoU of the edited figures' silhouettes and the exact target's"),
    ("pose_source", "source's pose", "the same IoU for the unedited source"),
    ("kept_psnr", "kept dB", "PSNR to the source, at least 8 pixels outside the edited regions"),
    ("kept_psnr_vae", "VAE dB", "the same PSNR for the VAE's round trip"),
    ("kept_psnr_pixels", "pasted dB", "the same PSNR after blending in pixel space"),
    ("warp", "warp", "mean squared error along the exact motion × 10³"),
    ("warp_target", "target's warp", "the same error for the VAE's round trip of the exact target"),
    ("seconds", "s", "seconds for sampling and decoding"),
)
"""The key, heading and meaning of every score."""


def summarize(results: Sequence[Result], methods: Sequence[str]) -> dict[str, dict[str, Result]]:
    """Count the cases and average every score, per method and edit granularity (and ``all``).

    A case without a score, such as leakage where nothing can leak, is left out of its mean.
    """
    grains = list(dict.fromkeys(result["grain"] for result in results))
    return {
        method: {
            grain: _means(
                [
                    result["scores"][method]
                    for result in results
                    if method in result["scores"] and grain in (ALL, result["grain"])
                ]
            )
            for grain in (*grains, ALL)
        }
        for method in methods
    }


def _means(scores: list[dict[str, Any]]) -> Result:
    means: Result = {"cases": len(scores)}
    means["cases_right"] = mean(float(is_right(score["right"])) for score in scores)
    for key, _, _ in MEASURES[1:]:
        means[key] = mean(score[key] for score in scores if score[key] is not None)
    return means


def mean(values: Iterable[float]) -> float | None:
    """The mean of ``values``; None if there are none.

    >>> mean([1, 2]), mean([])
    (1.5, None)
    """
    listed = list(values)
    return math.fsum(listed) / len(listed) if listed else None


def shown(key: str, value: float | None) -> str:
    """Format a mean for tables.

    >>> shown("right", 0.905), shown("kept_psnr", 33.21), shown("warp", None)
    ('90 %', '33.2', '–')
    """
    if value is None:
        return "–"
    if key in ("cases_right", "right", "figures", "leaked"):
        return f"{value:.0%}".replace("%", " %")
    decimals = 2 if key in ("pose", "pose_source", "warp", "warp_target") else 1
    return f"{value:.{decimals}f}"

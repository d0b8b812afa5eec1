"""From the scores of cases to a row per method and grain."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from grainspec_runtime.bench.measure import is_right

Result = dict[str, Any]
"""Of a case its facts, and by method the score and the key it was made under; or means."""

ALL = "all"
MEASURES: tuple[tuple[str, str, str], ...] = (
    ("cases_right", "cases right", "all as asked on at least 3/4 of the frames"),
    ("right", "frames right", "all as asked"),
    ("figures", "figures right", "edited figures on frames"),
    ("leaked", "leaked", "pixels of a figure that show the other's target"),
    ("pose", "pose IoU", "silhouettes of edited figures against the exact target's"),
    ("pose_source", "source's pose", "the same of the source's figures"),
    ("kept_psnr", "kept dB", "PSNR to the source, 8 pixels and more outside the edited regions"),
    ("kept_psnr_vae", "VAE dB", "the same of the VAE's round trip"),
    ("kept_psnr_pixels", "pasted dB", "after blending in pixels"),
    ("warp", "warp", "mean squared error along the exact motion × 10³"),
    ("warp_target", "target's warp", "the same of the exact target's VAE round trip"),
    ("seconds", "s", "sampling and decoding of 8 frames"),
)
"""Key, heading and meaning."""


def summarize(results: Sequence[Result], methods: Sequence[str]) -> dict[str, dict[str, Result]]:
    """By method and grain (and ``all``) the number of cases and the mean of every measure.

    A measure that says nothing of a case, such as leakage where nothing can leak, leaves it out.
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
    found: Result = {"cases": len(scores)}
    found["cases_right"] = mean(float(is_right(score["right"])) for score in scores)
    for key, _, _ in MEASURES[1:]:
        found[key] = mean(score[key] for score in scores if score[key] is not None)
    return found


def mean(values: Iterable[float]) -> float | None:
    """None of nothing.

    >>> mean([1, 2]), mean([])
    (1.5, None)
    """
    listed = list(values)
    return math.fsum(listed) / len(listed) if listed else None


def shown(key: str, value: float | None) -> str:
    """A mean as tables have it.

    >>> shown("right", 0.905), shown("kept_psnr", 33.21), shown("warp", None)
    ('90 %', '33.2', '–')
    """
    if value is None:
        return "–"
    if key in ("cases_right", "right", "figures", "leaked"):
        return f"{value:.0%}".replace("%", " %")
    decimals = 2 if key in ("pose", "pose_source", "warp", "warp_target") else 1
    return f"{value:.{decimals}f}"

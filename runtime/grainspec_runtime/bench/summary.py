"""Average the scores of cases per method and edit granularity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from grainspec_runtime.bench.bootstrap import Quotient, Values, is_measured, mean_of, order_of
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
"""The key, heading and meaning of every score of an edit whose exact target is known."""

PAPER_MEASURES: tuple[tuple[str, str, str], ...] = (
    ("clip_f", "CLIP-F", "CLIP similarity of consecutive frames × 100"),
    ("clip_t", "CLIP-T", "CLIP similarity of the frames and the target prompt × 100"),
    ("warp_flow", "Warp-Err", "mean squared error along the source's estimated flow × 10³"),
    ("q_edit", "Q-edit", "mean CLIP-T / mean Warp-Err"),
    ("warp_source", "exact", "Warp-Err along the source's exact flow"),
    ("local", "local CLIP-T", "CLIP similarity of each figure's crop and its caption × 100"),
    ("cross_instance", "CIA", "crops nearest to their own figure's caption, of 100 (MIVE)"),
    ("psnr", "PSNR", "PSNR in dB to the source outside the edited regions"),
    ("ssim", "SSIM", "SSIM to the source outside the edited regions"),
    ("distance", "distance", "distance of CLIP's patch features outside; not LPIPS"),
    ("total", "total s", "seconds of the whole edit, without loading the model"),
    ("gpu", "GPU MiB", "peak GPU memory of the edit"),
    ("ram", "RAM MiB", "peak memory of the process during the edit"),
)
"""The key, heading and meaning of the measures of VideoGrain's and MIVE's tables."""


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


ORDERED: tuple[tuple[str, bool], ...] = (
    ("right", True),
    ("leaked", False),
    ("cross_instance", True),
    ("clip_t", True),
    ("warp_flow", False),
    ("q_edit", True),
    ("psnr", True),
)
"""The measures by which methods are put in order, and whether higher is better."""


def in_order(results: Sequence[Result], methods: Sequence[str]) -> list[tuple[str, str]]:
    """State the order of methods by each of :data:`ORDERED`: its heading, and one line a pair."""
    headings = {key: heading for key, heading, _ in (*MEASURES, *PAPER_MEASURES)}
    stated = []
    for key, higher in ORDERED:
        values = {name: values_of(results, name, key) for name in methods}
        if sum(map(is_measured, values.values())) > 1:
            digits = 3 if key in ("right", "leaked") else 2
            order = order_of(values, higher_is_better=higher, digits=digits)
            stated.append((headings[key], order))
    return stated


def values_of(results: Sequence[Result], method: str, key: str) -> Values:
    """A method's values of a measure, case by case; None where a case has none.

    Q-edit is the quotient of two means, as in VideoGrain's tables.
    """
    if key == "q_edit":
        return Quotient(*(_column(results, method, part) for part in ("clip_t", "warp_flow")))
    return _column(results, method, key)


def _column(results: Sequence[Result], method: str, key: str) -> list[float | None]:
    return [result["scores"].get(method, {}).get(key) for result in results]


def _means(scores: list[dict[str, Any]]) -> Result:
    means: Result = {"cases": len(scores)}
    means["cases_right"] = mean_of([float(is_right(score["right"])) for score in scores])
    results = [{"scores": {"": score}} for score in scores]
    for key, _, _ in (*MEASURES[1:], *PAPER_MEASURES):
        means[key] = mean_of(values_of(results, "", key))
    return means


_SHARES = ("cases_right", "right", "figures", "leaked")
"""What is shown in percent, and differences of it in percentage points (pp)."""
_DECIMALS = {
    **dict.fromkeys(("pose", "pose_source", "warp", "warp_target"), 2),
    **dict.fromkeys(("clip_f", "clip_t", "warp_flow", "warp_source", "q_edit", "local"), 2),
    **dict.fromkeys(("ssim", "distance"), 4),
    **dict.fromkeys(("gpu", "ram"), 0),
}
"""Digits after the point, where they are not one."""


def shown(key: str, value: float | None) -> str:
    """Format a mean for tables.

    >>> shown("right", 0.905), shown("kept_psnr", 33.21), shown("warp", None)
    ('90 %', '33.2', '–')
    """
    if value is None:
        return "–"
    if key in _SHARES:
        return f"{value:.0%}".replace("%", " %")
    return f"{value:.{_DECIMALS.get(key, 1)}f}"


def shown_difference(key: str, value: float | None) -> str:
    """Format a difference of means for tables, as :func:`shown` its means; of shares in points.

    >>> shown_difference("right", -0.0625), shown_difference("ssim", 0.0123)
    ('-6 pp', '+0.0123')
    """
    if value is None:
        return "–"
    if key in _SHARES:
        return f"{100 * value:+.0f} pp"
    return f"{value:+.{_DECIMALS.get(key, 1)}f}"

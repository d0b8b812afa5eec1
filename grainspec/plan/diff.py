"""What differs between two plans: words, regions, strengths, pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grainspec.plan.facts import facts
from grainspec.plan.mask_plan import MaskPlan, PlanLevel, class_counts


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is not the same: what it is, of which edit and level, before and after.

    ``before`` and ``after`` are plain values; None stands for what is not there.
    """

    what: str
    before: Any
    after: Any
    region: str | None = None
    level: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "what": self.what,
            "region": self.region,
            "level": self.level,
            "before": self.before,
            "after": self.after,
        }

    def __str__(self) -> str:
        place = f"level {self.level}: " if self.level is not None else ""
        return f"{place}{self.what}: {_shown(self.before)} → {_shown(self.after)}"


def differences(
    one: MaskPlan,
    other: MaskPlan,
    *,
    timesteps: Sequence[float],
    other_timesteps: Sequence[float],
) -> list[Difference]:
    """Everything that differs from ``one`` plan to the ``other``; empty where they do the same.

    ``timesteps`` and ``other_timesteps`` are those of each one's sampling run. Edits are told apart
    by their regions' names.
    """
    before, after = facts(one, timesteps=timesteps), facts(other, timesteps=other_timesteps)
    found = [
        Difference(what, before[what], after[what])
        for what in ("target", "backbone", "frames", "size")
        if before[what] != after[what]
    ]
    found += [
        Difference(what.replace("_", " "), value, after["schedule"][what])
        for what, value in before["schedule"].items()
        if value != after["schedule"][what]
    ]
    edits = [{edit["region"]: edit for edit in side["edits"]} for side in (before, after)]
    for region in dict.fromkeys([*edits[0], *edits[1]]):
        found += _of_edit(region, edits[0].get(region), edits[1].get(region))
    found += _moved_tokens(one, other)
    found += _pairs(one, other)
    return found


def _of_edit(
    region: str, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> Iterator[Difference]:
    if before is None or after is None:
        words = [f"{edit['verb']} “{edit['phrase']}”" if edit else None for edit in (before, after)]
        yield Difference("edit", words[0], words[1], region)
        return
    for what in ("verb", "grain", "owner", "phrase", "tokens"):
        if before[what] != after[what]:
            yield Difference(what, before[what], after[what], region)
    for old, new in zip(before["levels"], after["levels"], strict=False):
        for what in ("grid", "modulated"):
            if old[what] != new[what]:
                yield Difference(what, old[what], new[what], region, old["level"])
        for what in ("cross_attract", "cross_repel", "self_attract", "self_repel"):
            full = old[what]["full"], new[what]["full"]  # what becomes of it in time is said above
            if full[0] != full[1]:
                yield Difference(what.replace("_", " "), *full, region, old["level"])


def _comparable(one: MaskPlan, other: MaskPlan) -> Iterator[tuple[PlanLevel, PlanLevel]]:
    """Levels that have the same grid and frames in both plans."""
    for level, others in zip(one.levels, other.levels, strict=False):
        if one.frames == other.frames and level.labels_FHW.shape == others.labels_FHW.shape:
            yield level, others


def _moved_tokens(one: MaskPlan, other: MaskPlan) -> Iterator[Difference]:
    """How many tokens left a region, and how many joined it."""
    names = [[edit.region for edit in plan.edits] for plan in (one, other)]
    for level, others in _comparable(one, other):
        for region in names[0]:
            if region not in names[1]:
                continue
            here = one.members_CE[level.labels_FHW, names[0].index(region)]
            there = other.members_CE[others.labels_FHW, names[1].index(region)]
            left, joined = int((here & ~there).sum()), int((there & ~here).sum())
            if left or joined:
                after = f"{int(there.sum())} ({left} left, {joined} joined)"
                yield Difference("tokens", int(here.sum()), after, region, level.index)


def _pairs(one: MaskPlan, other: MaskPlan) -> Iterator[Difference]:
    """The share of all pairs of tokens of the clip that are positive."""
    for level, others in _comparable(one, other):
        before, after = _positive_share(one, level), _positive_share(other, others)
        if before != after:
            yield Difference("positive pairs", before, after, level=level.index)


def _positive_share(plan: MaskPlan, level: PlanLevel) -> float:
    counts = class_counts(level.labels_FHW, len(plan.members_CE)).sum(axis=0).astype(np.float64)
    return round(float(counts @ plan.self_relation_CC @ counts / counts.sum() ** 2), 5)


def differences_text(found: list[Difference]) -> str:
    """The differences as a short report, those of an edit together."""
    if not found:
        return "no difference"
    lines = [str(difference) for difference in found if difference.region is None]
    for region in dict.fromkeys(d.region for d in found if d.region is not None):
        lines.append(f"\n{region}")
        lines += [f"  {difference}" for difference in found if difference.region == region]
    return "\n".join(lines).strip("\n")


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list) and value and isinstance(value[0], float):
        return " to ".join(f"{number:.4g}" for number in value)
    if isinstance(value, list) and len(value) > 8:
        return f"{value[0]} … {value[-1]} ({len(value)})"
    if isinstance(value, str):
        return value if value.startswith(("edit ", "add ", "free ")) else f"“{value}”"
    return str(value)

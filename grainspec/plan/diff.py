"""Compare two plans: words, regions, strengths and pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grainspec.model.settings.method import OwnScope
from grainspec.plan.facts import facts
from grainspec.plan.mask_plan import MaskPlan, PlanLevel, class_counts


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that differs: its name, its edit and level, the old and the new value.

    ``before`` and ``after`` are plain JSON values; None means that there is no value.
    """

    what: str
    before: Any
    after: Any
    region: str | None = None
    level: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The difference as JSON values."""
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


_OF_PLANS = ("target", "backbone", "frames", "size", "padding", "modulates", "self_attention")


def differences(
    old: MaskPlan,
    new: MaskPlan,
    *,
    old_timesteps: Sequence[float],
    new_timesteps: Sequence[float],
    old_modulates: bool = True,
    new_modulates: bool = True,
    old_scope: OwnScope | None = None,
    new_scope: OwnScope | None = None,
) -> list[Difference]:
    """List all differences between two plans; empty if the plans do the same.

    ``old_timesteps`` and ``new_timesteps`` are the timesteps of the two sampling runs, and
    ``old_modulates`` and ``new_modulates`` whether their attention is modulated, and ``old_scope``
    and ``new_scope`` those of their methods, as for :func:`.facts.facts`. Edits are
    matched by the names of their regions.
    """
    before = facts(old, timesteps=old_timesteps, modulates=old_modulates, scope=old_scope)
    after = facts(new, timesteps=new_timesteps, modulates=new_modulates, scope=new_scope)
    diff = [
        Difference(what.replace("_", " "), before[what], after[what])
        for what in _OF_PLANS
        if before[what] != after[what]
    ]
    diff += [
        Difference(what.replace("_", " "), value, after["schedule"][what])
        for what, value in before["schedule"].items()
        if value != after["schedule"][what]
    ]
    edits = [{edit["region"]: edit for edit in side["edits"]} for side in (before, after)]
    for region in dict.fromkeys([*edits[0], *edits[1]]):
        diff += _of_edit(region, edits[0].get(region), edits[1].get(region))
    diff += _moved_tokens(old, new)
    diff += _pairs(old, new)
    return diff


def _of_edit(
    region: str, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> Iterator[Difference]:
    if before is None or after is None:
        yield Difference("edit", _edit_words(before), _edit_words(after), region)
        return
    for key in ("verb", "grain", "owner", "phrase", "tokens"):
        if before[key] != after[key]:
            what = "text tokens" if key == "tokens" else key
            yield Difference(what, before[key], after[key], region)
    for old, new in zip(before["levels"], after["levels"], strict=False):
        for what in ("grid", "modulated"):
            if old[what] != new[what]:
                yield Difference(what, old[what], new[what], region, old["level"])
        for what in ("cross_attract", "cross_repel", "self_attract", "self_repel"):
            full = old[what].get("full"), new[what].get("full")  # the schedule is compared above
            if full[0] != full[1] and None not in full:
                yield Difference(what.replace("_", " "), *full, region, old["level"])


def _edit_words(edit: dict[str, Any] | None) -> str | None:
    if edit is None:
        return None
    return f"{edit['verb']} “{edit['phrase']}”" if edit["phrase"] else str(edit["verb"])


def _comparable(old: MaskPlan, new: MaskPlan) -> Iterator[tuple[PlanLevel, PlanLevel]]:
    """Levels that have the same grid and frames in both plans."""
    for old_level, new_level in zip(old.levels, new.levels, strict=False):
        if old.frames == new.frames and old_level.labels_FHW.shape == new_level.labels_FHW.shape:
            yield old_level, new_level


def _moved_tokens(old: MaskPlan, new: MaskPlan) -> Iterator[Difference]:
    """Count the latent tokens that left each region, and those that joined it."""
    names = [[edit.region for edit in plan.edits] for plan in (old, new)]
    for old_level, new_level in _comparable(old, new):
        for region in names[0]:
            if region not in names[1]:
                continue
            before = old.members_CE[old_level.labels_FHW, names[0].index(region)]
            after = new.members_CE[new_level.labels_FHW, names[1].index(region)]
            left, joined = int((before & ~after).sum()), int((after & ~before).sum())
            if left or joined:
                count = f"{int(after.sum())} ({left} left, {joined} joined)"
                yield Difference("latent tokens", int(before.sum()), count, region, old_level.index)


def _pairs(old: MaskPlan, new: MaskPlan) -> Iterator[Difference]:
    """Compare the share of positive pairs among all pairs of latent tokens of the clip."""
    for old_level, new_level in _comparable(old, new):
        before, after = _positive_share(old, old_level), _positive_share(new, new_level)
        if before != after:
            yield Difference("positive pairs", before, after, level=old_level.index)


def _positive_share(plan: MaskPlan, level: PlanLevel) -> float:
    counts = class_counts(level.labels_FHW, len(plan.members_CE)).sum(axis=0).astype(np.float64)
    return round(float(counts @ plan.self_relation_CC @ counts / counts.sum() ** 2), 5)


def differences_text(diff: list[Difference]) -> str:
    """Format the differences as text, grouped by edit."""
    if not diff:
        return "no difference"
    lines = [str(difference) for difference in diff if difference.region is None]
    for region in dict.fromkeys(d.region for d in diff if d.region is not None):
        lines.append(f"\n{region}")
        lines += [f"  {difference}" for difference in diff if difference.region == region]
    return "\n".join(lines).strip("\n")


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list) and value and isinstance(value[0], float):
        return " to ".join(f"{number:.4g}" for number in value)
    if isinstance(value, list) and len(value) > 8:
        return f"{value[0]} … {value[-1]} ({len(value)})"
    if isinstance(value, str):
        return value if value.startswith(("edit “", "add “")) or value == "free" else f"“{value}”"
    return str(value)

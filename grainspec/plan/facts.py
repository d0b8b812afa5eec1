"""A plan in words: what will be done, where and how strongly."""

from __future__ import annotations

from typing import Any

import numpy as np

from grainspec.plan.mask_plan import MaskPlan, PlanLevel


def facts(plan: MaskPlan, *, steps: int) -> dict[str, Any]:
    """The plan's facts as plain JSON values, for a sampling run of ``steps`` steps."""
    active = sum(plan.is_active(step, steps) for step in range(steps))
    return {
        "digest": plan.digest,
        "target": plan.target,
        "backbone": plan.backbone,
        "frames": list(plan.frames),
        "size": [plan.width, plan.height],
        "classes": len(plan.members_CE),
        "bytes": plan.nbytes(),
        "schedule": {
            "steps": steps,
            "modulated_steps": active,
            "decay": plan.attention.decay,
            "frames": plan.attention.frames,
        },
        "edits": [
            {
                "region": edit.region,
                "verb": edit.verb,
                "grain": edit.grain,
                "owner": edit.owner,
                "phrase": edit.phrase,
                "tokens": [list(tokens) for tokens in edit.tokens],
                "levels": [_level_facts(plan, level, index) for level in plan.levels],
            }
            for index, edit in enumerate(plan.edits)
        ],
    }


def _level_facts(plan: MaskPlan, level: PlanLevel, edit: int) -> dict[str, Any]:
    """One edit at one level: its tokens a frame, its area, its mean strengths at ξ = 1."""
    rows, columns = level.labels_FHW.shape[1:]
    mine = plan.members_CE[:, edit]
    inside = mine[level.labels_FHW]
    count = int(inside.sum())

    def mean(table: Any) -> float:
        frame = np.arange(len(level.labels_FHW))[:, None, None]
        values = np.minimum(table[frame, level.labels_FHW], 1)
        return round(float(values[inside].mean()), 4) if count else 0.0

    return {
        "level": level.index,
        "grid": [int(columns), int(rows)],
        "modulated": level.modulated,
        "tokens": count,
        "area": round(count / level.labels_FHW.size, 5),
        "cross_attract": mean(level.cross_attract_FC),
        "cross_repel": mean(level.cross_repel_FC),
        "self_attract": mean(level.self_attract_FC),
        "self_repel": mean(level.self_repel_FC),
    }


def facts_text(found: dict[str, Any]) -> str:
    """The facts as a short report."""
    width, height = found["size"]
    schedule = found["schedule"]
    lines = [
        f"plan {found['digest'][:12]} for {found['backbone']}: "
        f"{len(found['frames'])} frames of {width}x{height}, {found['classes']} classes, "
        f"{found['bytes'] / 1000:.0f} kB",
        f"modulated: {schedule['modulated_steps']} of {schedule['steps']} steps, "
        f"decay {schedule['decay']:g}, frames {schedule['frames']}",
        f"target: “{found['target']}”",
    ]
    for edit in found["edits"]:
        what = " ".join(filter(None, [edit["verb"], edit["grain"], edit["region"]]))
        owner = f" of {edit['owner']}" if edit["owner"] else ""
        tokens = ", ".join("+".join(map(str, span)) for span in edit["tokens"])
        words = f" → “{edit['phrase']}” (tokens {tokens})" if tokens else ""
        lines.append(f"\n{what}{owner}{words}")
        lines.append("  level   grid     tokens    area   cross +/-      self +/-")
        for level in edit["levels"]:
            columns, rows = level["grid"]
            off = "" if level["modulated"] else "  not modulated"
            lines.append(
                f"  {level['level']:>5}   {columns}x{rows:<5} {level['tokens']:>7} "
                f"{level['area']:>7.1%}   "
                f"{level['cross_attract']:.2f}/{level['cross_repel']:.2f}      "
                f"{level['self_attract']:.2f}/{level['self_repel']:.2f}{off}"
            )
    return "\n".join(lines)

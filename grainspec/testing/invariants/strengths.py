"""How strongly latent tokens are modulated."""

from __future__ import annotations

import numpy as np

from grainspec.plan.mask_plan import class_counts
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case
from grainspec.testing.invariants.places import at_token
from grainspec.testing.invariants.registry import invariant


@invariant("strengths")
def strengths(case: Case) -> None:
    """Strengths are in [0, 1], are 0 outside all regions, and fall as a region's area grows."""
    plan, modulation = case.plan, case.spec.modulation
    edits = {edit.region: edit for edit in case.spec.changes}
    weights: dict[str, list[float]] = {"attract": [], "repel": []}
    for planned in plan.edits:  # free regions have the weight 1
        edit = edits.get(planned.region)
        weights["attract"].append(edit.weight if edit else 1.0)
        weights["repel"].append(edit.repulsion if edit else 1.0)
    worded = [planned.region in edits for planned in plan.edits]
    for level in plan.levels:
        counts = class_counts(level.labels_FHW, len(plan.members_CE))
        areas = counts @ plan.self_relation_CC / level.tokens
        scope = np.stack([areas[keys].mean(axis=0) for keys in plan.key_frames_FK])
        for kind, top, share in (
            ("cross", modulation.cross, areas),
            ("self", modulation.self_, scope),
        ):
            for name, of_edits in weights.items():
                table = getattr(level, f"{kind}_{name}_FC")
                values = np.array(of_edits) * (1 if kind == "self" else np.array(worded))
                most = np.where(plan.members_CE, values, 0).max(axis=1, initial=0)
                expected = top * most * (1 - share) * plan.members_CE.any(axis=1)
                away = ~np.isclose(table, expected, atol=1e-6) | (table < 0)
                for frame, number in np.argwhere(away & (counts > 0))[:1]:
                    message = f"{kind}_{name} is {table[frame, number]:.4f}"
                    message += f", not {expected[frame, number]:.4f}"
                    token = int(np.argmax(level.labels_FHW[frame].ravel() == number))
                    raise at_token("strengths", message, plan, level, frame, token)
                if plan.at(plan.training_steps, table).max() > 1:
                    raise Broken("strengths", f"{kind}_{name} is above 1", level=level.index)

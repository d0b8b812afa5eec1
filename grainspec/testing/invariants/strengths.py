"""How strongly latent tokens are modulated, and the areas on which that depends."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from grainspec.model.spec import Edit
from grainspec.plan.mask_plan import PlanLevel
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case
from grainspec.testing.invariants.expected import frames_in_scope, groups_of
from grainspec.testing.invariants.places import at_token
from grainspec.testing.invariants.registry import invariant

Table = npt.NDArray[np.float64]


@invariant("strengths")
def strengths(case: Case) -> None:
    """Strengths are in [0, 1], are 0 outside all regions, and fall as a region's area grows.

    A token's strength is the setting `cross` or `self`, times the largest weight (for attraction)
    or repulsion of its edits, times 1 minus the share of tokens that share an edit with it: those
    of its own frame for cross-attention, those of all frames that its frame attends to for
    self-attention. Free regions have the weight 1, and none in cross-attention.

    With `overlap sum` a token counts once for each edit that is shared, up to a share of 1. With
    `self_area squared` and `frames full` the share is divided by the number of frames. With
    `outside repelled` tokens of no edit have the repulsion 1, and so have, in cross-attention, free
    regions.
    """
    plan = case.plan
    for level in plan.levels:
        labels = level.labels_FHW
        present = _counts(level, len(plan.members_CE)) > 0
        for name, expected in _expected(case, level):
            table = getattr(level, f"{name}_FC")
            away = ~(abs(table - expected) < 2e-6)
            for frame, number in np.argwhere(away & present)[:1]:
                message = f"{name} is {table[frame, number]:.4f}"
                message += f", not {expected[frame, number]:.4f}"
                token = int(np.argmax(labels[frame].ravel() == number))
                raise at_token("strengths", message, plan, level, frame, token)
            if plan.at(plan.training_steps, table).max() > 1:
                raise Broken("strengths", f"{name} is above 1", level=level.index)


def _expected(case: Case, level: PlanLevel) -> Iterator[tuple[str, Table]]:
    """The four tables of a level by name, float64 ``[F, C]``."""
    modulation, members = case.spec.modulation, case.plan.members_CE
    both = np.array([[np.count_nonzero(one & other) for other in members] for one in members])
    sharing = both if modulation.overlap == "sum" else both.astype(bool)
    own = _counts(level, len(members)) @ sharing / level.labels_FHW[0].size
    scopes = [frames_in_scope(modulation.frames, frame, len(own)) for frame in range(len(own))]
    seen = np.stack([own[keys].mean(axis=0) for keys in scopes])
    if (modulation.self_area, modulation.frames) == ("squared", "full"):
        seen = seen / len(own)
    words = np.array([isinstance(claim, Edit) for claim in case.spec.claims])
    for name, top, share, free, away in (
        ("cross", modulation.cross, own, 0.0, ~members[:, words].any(axis=1)),
        ("self", modulation.self_, seen, 1.0, ~members.any(axis=1)),
    ):
        for kind in ("attract", "repel"):
            weights = [_weight(claim, kind, free) for claim in case.spec.claims]
            largest = (members * np.array(weights)).max(axis=1)
            if kind == "repel" and modulation.outside == "repelled":
                largest[away] = 1.0
            yield f"{name}_{kind}", top * largest * np.maximum(1 - share, 0)


def _weight(claim: object, kind: str, free: float) -> float:
    """The weight or the repulsion of an edit."""
    if not isinstance(claim, Edit):
        return free
    return claim.weight if kind == "attract" or claim.repel is None else claim.repel


def _counts(level: PlanLevel, classes: int) -> Table:
    """The number of tokens of every class on every frame, ``[F, C]``."""
    frames = len(level.labels_FHW)
    numbers = level.labels_FHW.reshape(frames, -1) + classes * np.arange(frames)[:, None]
    counts = np.bincount(numbers.ravel(), minlength=frames * classes)
    return counts.reshape(frames, classes).astype(np.float64)


@invariant("areas")
def areas(case: Case) -> None:
    """The area of an edit on a frame is the share of the frame's latent tokens that it has."""
    plan = case.plan
    for level in plan.levels:
        expected = plan.members_CE[level.labels_FHW].mean(axis=(1, 2))
        actual = np.asarray(plan.areas(level))
        if actual.shape != expected.shape:
            message = f"the areas have the shape {actual.shape}, not {expected.shape}"
            raise Broken("areas", message, level=level.index)
        for frame, edit in np.argwhere(~np.isclose(actual, expected, atol=1e-9))[:1]:
            message = f"the area is {actual[frame, edit]:.4f}, not {expected[frame, edit]:.4f}"
            region = plan.edits[edit].region
            source = plan.frames[groups_of(case)[frame][0]]
            raise Broken("areas", message, region=region, frame=source, level=level.index)

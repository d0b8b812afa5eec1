"""The latent tokens of a plan, compared with others and named in messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from grainspec.plan.mask_plan import MaskPlan, PlanLevel
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case
from grainspec.testing.invariants.expected import latent_frames
from grainspec.testing.invariants.structure import TABLES


@dataclass(frozen=True)
class _Tokens:
    """A level by latent token: the edits that each token belongs to, and its strengths."""

    members_GNE: npt.NDArray[np.bool_]
    strengths: dict[str, npt.NDArray[np.float32]]


def tokens_of(plan: MaskPlan, level: PlanLevel) -> _Tokens:
    """The edits and strengths of every latent token of a level, by latent frame."""
    groups = len(level.labels_FHW)
    labels = level.labels_FHW.reshape(groups, -1)
    frame = np.arange(groups)[:, None]
    tables = {name: getattr(level, f"{name}_FC")[frame, labels] for name in TABLES}
    return _Tokens(plan.members_CE[labels], tables)


def require_same(
    invariant: str, case: Case, other: MaskPlan, turn: Callable[[PlanLevel, object], object]
) -> None:
    """Raise Broken unless ``other`` is the case's plan with its latent tokens moved by ``turn``."""
    names = [edit.region for edit in case.plan.edits]
    order = [[edit.region for edit in other.edits].index(name) for name in names]
    for level, others in zip(case.plan.levels, other.levels, strict=True):
        here, there = tokens_of(case.plan, level), tokens_of(other, others)
        expected = np.asarray(turn(level, here.members_GNE))
        actual = there.members_GNE[..., order]
        for frame, token, edit in np.argwhere(expected != actual)[:1]:
            message = (
                "a token left its region"
                if expected[frame, token, edit]
                else "a token joined a region"
            )
            raise at_token(invariant, message, other, level, frame, token, region=names[edit])
        for name, table in here.strengths.items():
            expected = np.asarray(turn(level, table))
            away = ~(abs(expected - there.strengths[name]) < 2e-6)
            for frame, token in np.argwhere(away)[:1]:
                message = f"{name} is {there.strengths[name][frame, token]:.4f}"
                message += f", not {expected[frame, token]:.4f}"
                raise at_token(invariant, message, other, level, frame, token)


def at_token(
    invariant: str,
    message: str,
    plan: MaskPlan,
    level: PlanLevel,
    frame: int,
    token: int,
    **more: object,
) -> Broken:
    """The error about a latent token, which names its frame, level, column and row."""
    row, column = divmod(int(token), level.labels_FHW.shape[2])
    place = f"{column},{row}"
    source = _first_frame(plan, frame)
    return Broken(invariant, message, **more, frame=source, level=level.index, token=place)


def at_latent(
    invariant: str, message: str, case: Case, frame: int, row: int, column: int
) -> Broken:
    """The error about a latent pixel, which names its frame, column and row."""
    source, place = _first_frame(case.plan, frame), f"{column},{row}"
    return Broken(invariant, message, frame=source, latent=place)


def _first_frame(plan: MaskPlan, frame: int) -> int:
    """The number of the first source frame of a latent frame."""
    groups = latent_frames(len(plan.frames), plan.frames_per_latent, plan.first_frames)
    return plan.frames[groups[int(frame)][0]]

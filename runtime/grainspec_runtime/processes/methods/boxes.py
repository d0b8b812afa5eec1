"""The boxes of a plan's edits: what a method of boxes receives of regions.

Dimensions: F latent frames, E edits, h rows and w columns of latent tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from grainspec.plan.mask_plan import MaskPlan


@dataclass(frozen=True, eq=False)
class Boxes:
    """The tight box of each edit on each frame.

    corners_FE4: left, top, right and bottom as shares of the frame, float32 in [0, 1]. present_FE:
    whether the edit is on the frame at all; if not, its box is all 0.
    """

    corners_FE4: npt.NDArray[np.float32]
    present_FE: npt.NDArray[np.bool_]

    def cells(self, rows: int, columns: int) -> npt.NDArray[np.bool_]:
        """Return which cells of a grid each box touches, bool ``[F, h, w, E]``."""
        left, top, right, bottom = (self.corners_FE4[..., side] for side in range(4))
        across = _touched(left, right, columns)[:, :, None]  # [F, E, 1, w]
        down = _touched(top, bottom, rows)[..., None]  # [F, E, h, 1]
        return np.asarray((across & down).transpose(0, 2, 3, 1))


def boxes_of(plan: MaskPlan) -> Boxes:
    """Return the tight boxes around the edits' latent tokens, on the plan's finest level."""
    finest = min(plan.levels, key=lambda level: level.index)
    inside_FhwE = plan.members_CE[finest.labels_FHW]
    left, right = _ends(inside_FhwE, axis=1)
    top, bottom = _ends(inside_FhwE, axis=2)
    return Boxes(
        corners_FE4=np.stack([left, top, right, bottom], axis=-1).astype(np.float32),
        present_FE=np.asarray(inside_FhwE.any((1, 2))),
    )


def _ends(
    inside_FhwE: npt.NDArray[np.bool_], *, axis: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return where each edit begins and ends, across an axis, as shares ``[F, E]``."""
    inside_FnE = np.asarray(inside_FhwE.any(axis))
    count, some = inside_FnE.shape[1], inside_FnE.any(1)
    first = inside_FnE.argmax(1)
    end = count - inside_FnE[:, ::-1].argmax(1)
    return np.where(some, first / count, 0.0), np.where(some, end / count, 0.0)


def _touched(
    begin_FE: npt.NDArray[np.float32], end_FE: npt.NDArray[np.float32], count: int
) -> npt.NDArray[np.bool_]:
    """Return which of ``count`` cells along an axis overlap an interval, bool ``[F, E, count]``."""
    slack = 1e-4  # of a cell: corners are float32
    cells = np.arange(count)
    before = cells < end_FE[..., None] * count - slack
    return np.asarray(before & (cells + 1 > begin_FE[..., None] * count + slack))

"""Draw a plan's attention modulation as a query-key matrix, subsampled to a readable size.

Teal means attraction by the query's λ⁺, purple means repulsion by its λ⁻, and white means 0. Text
tokens that belong to no edit may repel by a share of λ⁻.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from grainspec.palette import NO_REGION, PALETTE
from grainspec.plan.mask_plan import MaskPlan, PlanLevel
from grainspec_runtime.views.overlay import legend

Colours = npt.NDArray[np.uint8]

MAX_SIDE = 16
"""At most this many rows and columns of latent tokens are drawn; larger grids are subsampled."""
MAX_FRAMES = 4
"""At most this many key frames are drawn, spread evenly over those in scope."""

_ATTRACT, _REPEL = (0, 120, 110), (165, 0, 115)
_STRIP, _GAP, _LEAST = 9, 24, 216


def dense_pictures(
    plan: MaskPlan, timestep: float, *, words_only: bool = False
) -> dict[int, Image.Image]:
    """Draw every modulated level, keyed by its index, at the frame with the largest edited area.

    ``words_only`` leaves out self-attention, for methods that choose its frames themselves.
    """
    claimed_C = np.asarray(plan.members_CE.any(axis=1))
    in_frame = claimed_C[plan.levels[0].labels_FHW].sum(axis=(1, 2))
    frame = int(in_frame.argmax())
    return {
        level.index: dense_picture(
            plan, level, frame=frame, timestep=timestep, words_only=words_only
        )
        for level in plan.levels
        if level.modulated
    }


def dense_picture(
    plan: MaskPlan, level: PlanLevel, *, frame: int, timestep: float, words_only: bool = False
) -> Image.Image:
    """Draw a latent frame's cross-attention (left) and self-attention (right) modulation.

    Rows are queries in raster order, columns are keys: text tokens on the left, the latent tokens
    in scope on the right. The coloured strips show which edit a token belongs to. Strengths are
    those at ``timestep``.
    """
    query = _subsampled(level.labels_FHW[frame])
    scope = plan.key_frames_FK[frame]
    spread = np.linspace(0, len(scope) - 1, min(MAX_FRAMES, len(scope))).round().astype(int)
    key = np.concatenate([_subsampled(level.labels_FHW[other]) for other in scope[spread]])
    words = min(
        int(np.flatnonzero(plan.words_ET.any(axis=0)).max(initial=0)) + 3, plan.words_ET.shape[1]
    )
    tables = {
        name: plan.at(timestep, getattr(level, f"{name}_FC"))[frame, query]
        for name in ("cross_attract", "cross_repel", "self_attract", "self_repel")
    }
    to_words = _matrix(
        plan.cross_relation_CT[query, :words],
        tables["cross_attract"],
        tables["cross_repel"],
        plan.repel_shares_T[:words],
    )
    to_tokens = _matrix(
        plan.self_relation_CC[np.ix_(query, key)],
        tables["self_attract"],
        tables["self_repel"],
        np.ones(len(key), np.float32),
    )
    owners = _class_colours(plan)
    word_colours = np.full((words, 3), NO_REGION, np.uint8)
    for index in range(len(plan.edits)):
        word_colours[plan.words_ET[index, :words]] = PALETTE[index % len(PALETTE)]
    panels = [
        _framed(to_words.repeat(4, axis=1), owners[query], word_colours.repeat(4, axis=0)),
        _framed(to_tokens, owners[query], owners[key]),
    ]
    rows, columns = level.labels_FHW.shape[1:]
    shown = "" if len(query) == rows * columns else f", {len(query)} shown"
    frames = [plan.frames[plan.groups[int(other)][0]] for other in scope[spread]]
    source = plan.frames[plan.groups[frame][0]]
    keys = f"left, text tokens 0 to {words - 1}; right, latent tokens of "
    keys += f"frame{'s' * (len(frames) > 1)} " + ", ".join(map(str, frames))
    if words_only:
        panels, keys = panels[:1], f"text tokens 0 to {words - 1}"
    titles = [
        f"level {level.index}: {columns}x{rows} latent tokens of frame {source}{shown}",
        f"keys: {keys}",
        f"timestep {timestep:g}; teal attracts, purple repels; darker is stronger, up to 1",
    ]
    return _page(panels, titles, [f"{edit.region} -> “{edit.phrase}”" for edit in plan.edits])


def _subsampled(labels_HW: npt.NDArray[np.unsignedinteger]) -> npt.NDArray[np.intp]:
    """The classes of the drawn tokens, in raster order."""
    rows, columns = labels_HW.shape
    every_row, every_column = -(-rows // MAX_SIDE), -(-columns // MAX_SIDE)
    return labels_HW[::every_row, ::every_column].reshape(-1).astype(np.intp)


def _matrix(
    relation: npt.NDArray[np.bool_],
    attract: npt.NDArray[np.float32],
    repel: npt.NDArray[np.float32],
    shares: npt.NDArray[np.float32],
) -> Colours:
    """Colour a relation ``[N, M]`` by the strengths of its rows ``[N]``; columns scale λ⁻."""
    strength = np.where(relation, attract[:, None], repel[:, None] * shares)[..., None]
    colour = np.where(relation[..., None], np.array(_ATTRACT), np.array(_REPEL))
    return np.asarray((255 + (colour - 255) * strength).round().astype(np.uint8))


def _class_colours(plan: MaskPlan) -> Colours:
    """One colour per class, ``[C, 3]``: the colour of its first edit, or grey if it has none."""
    colours = np.full((len(plan.members_CE), 3), NO_REGION, np.uint8)
    for number, members in enumerate(plan.members_CE):
        if members.any():
            colours[number] = PALETTE[int(members.argmax()) % len(PALETTE)]
    return colours


def _framed(matrix: Colours, left: Colours, top: Colours) -> Colours:
    """Enlarge a matrix and add a strip of colours along its rows and one along its columns."""
    factor = max(3, -(-_LEAST // len(matrix)))
    body = matrix.repeat(factor, axis=0).repeat(factor, axis=1)
    side = np.broadcast_to(left.repeat(factor, axis=0)[:, None], (len(body), _STRIP, 3))
    head = np.broadcast_to(top.repeat(factor, axis=0)[None], (_STRIP, body.shape[1], 3))
    corner = np.full((_STRIP, _STRIP, 3), 255, np.uint8)
    upper = np.concatenate([corner, head], axis=1)
    return np.concatenate([upper, np.concatenate([side, body], axis=1)])


def _page(panels: Sequence[Colours], titles: Sequence[str], lines: Sequence[str]) -> Image.Image:
    gap = np.full((len(panels[0]), _GAP, 3), 255, np.uint8)
    body = np.concatenate([gap, *(part for panel in panels for part in (panel, gap))], axis=1)
    font = ImageFont.load_default(14)
    width = max(body.shape[1], *(round(font.getlength(title)) + 16 for title in titles))
    head = Image.new("RGB", (width, 20 * len(titles) + 8), "white")
    for index, title in enumerate(titles):
        ImageDraw.Draw(head).text((8, 20 * index + 14), title, "black", font, anchor="lm")
    wide = np.pad(body, ((0, 8), (0, width - body.shape[1]), (0, 0)), constant_values=255)
    return Image.fromarray(
        np.concatenate([np.asarray(head), wide, np.asarray(legend(lines, width))])
    )

"""A mask plan worked out the slow way: token by token, pair by pair, from the method's equations.

Nothing of the compiler is used but the specs and backbones it is given. Sets of region names stand
for membership, and every relation is written out in full.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from grainspec.model.spec import EditSpec
from grainspec.plan.backbone import Backbone
from grainspec.plan.mask_plan import MaskPlan, PlanLevel
from grainspec.regions.layout import Layout
from grainspec.testing import read_phrases


@dataclass
class Dense:
    """A level in full. N tokens over all latent frames, frame by frame, row by row; T words."""

    regions_N: list[set[str]]
    frame_N: list[int]
    attends_NN: np.ndarray
    """Which keys are in the scope of a query, and how often."""
    self_NN: np.ndarray
    cross_NT: np.ndarray
    shares_NT: np.ndarray
    """How much of its repulsion pushes a token from each word."""
    kinds_T: list[str]
    """What each text token is as a key: "modulated", "neutral" or "masked"."""
    cross_attract_N: np.ndarray
    cross_repel_N: np.ndarray
    self_attract_N: np.ndarray
    self_repel_N: np.ndarray


def regions_of(
    spec: EditSpec,
    layout: Layout,
    frames: list[int],
    y: int,
    x: int,
    rows: int,
    columns: int,
    finest: tuple[int, int],
) -> set[str]:
    """The regions of the token in row ``y`` and column ``x`` that stands for these frames."""
    _, height, width = layout.bits_FHW.shape
    top, bottom = y * height // rows, (y + 1) * height // rows
    left, right = x * width // columns, (x + 1) * width // columns
    found = set()
    for name in layout.names:
        mask = layout.mask(name)
        middle = frames[len(frames) // 2]
        if spec.modulation.resize == "nearest":
            inside = mask[
                middle, (2 * y + 1) * height // (2 * rows), (2 * x + 1) * width // (2 * columns)
            ]
        elif spec.modulation.resize == "corner":
            fine = mask[middle][:: height // finest[0], :: width // finest[1]]
            inside = fine[y * finest[0] // rows, x * finest[1] // columns]
        else:
            pixels = [
                bool(mask[frame, row, column])
                for frame in frames
                for row in range(top, bottom)
                for column in range(left, right)
            ]
            inside = any(pixels)
            if spec.modulation.resize == "area":
                needed = spec.modulation.threshold * len(pixels)
                inside = inside and sum(pixels) >= needed * (1 - 1e-9)
        if inside:
            found.add(name)
    return without_what_parts_cover(spec, found)


def without_what_parts_cover(spec: EditSpec, names: set[str]) -> set[str]:
    """A part takes a token from what is no part, and from the parts it is a part of."""
    edits = {edit.region: edit for edit in spec.changes}
    parts = {name for name in names & edits.keys() if edits[name].grain == "part"}
    covered = set()
    for part in parts:
        covered |= names - parts
        owner = edits[part].owner
        while owner is not None:
            covered |= {owner}
            owner = edits[owner].owner if owner in edits else None
    return names - covered


def latent_frames(count: int, backbone: Backbone) -> list[list[int]]:
    """The first frames together, then every next ``frames_per_latent`` of them."""
    found: list[list[int]] = []
    for frame in range(count):
        after = frame - backbone.first_frames
        if frame == 0 or (after >= 0 and after % backbone.frames_per_latent == 0):
            found.append([])
        found[-1].append(frame)
    return found


def scope_of(scope: str, frame: int, count: int) -> list[int]:
    """The latent frames whose keys a query in ``frame`` sees."""
    return {
        "each": [frame],
        "first_last": [0, count - 1],
        "sparse_causal": [0, max(frame - 1, 0)],
        "full": list(range(count)),
    }[scope]


def words_of(spec: EditSpec, backbone: Backbone) -> dict[str, set[int]]:
    """The text tokens that have a letter of an edit's words, by the edit's region."""
    spans = read_phrases([edit.phrase for edit in spec.changes], spec.target)
    return {
        edit.region: {
            token
            for token, (first, last) in enumerate(backbone.tokenize(spec.target))
            for start, end in occurrences
            if set(range(first, last)) & set(range(start, end))
        }
        for edit, occurrences in zip(spec.changes, spans, strict=True)
    }


def dense_level(spec: EditSpec, layout: Layout, backbone: Backbone, level: int) -> Dense:
    """One level of a spec's plan, written out."""
    count, height, width = layout.bits_FHW.shape
    side = backbone.pixels_per_latent * backbone.patch
    finest = rows, columns = height // side, width // side
    for _ in range(level):
        rows, columns = math.ceil(rows / 2), math.ceil(columns / 2)
    groups = latent_frames(count, backbone)
    tokens = [
        (frame, regions_of(spec, layout, group, y, x, rows, columns, finest))
        for frame, group in enumerate(groups)
        for y in range(rows)
        for x in range(columns)
    ]
    total = len(tokens)
    settings = spec.modulation
    twice, all_repelled = settings.overlap == "sum", settings.outside == "repelled"
    self_NN = np.zeros((total, total), bool)
    counted_NN = np.zeros((total, total), int)
    attends_NN = np.zeros((total, total), int)
    same_frame = np.zeros((total, total), bool)
    for query, (frame, mine) in enumerate(tokens):
        scope = scope_of(spec.modulation.frames, frame, len(groups))
        for key, (other_frame, others) in enumerate(tokens):
            self_NN[query, key] = bool(mine & others)
            counted_NN[query, key] = len(mine & others) if twice else bool(mine & others)
            attends_NN[query, key] = scope.count(other_frame)
            same_frame[query, key] = frame == other_frame
    edits = {edit.region: edit for edit in spec.changes}
    words = words_of(spec, backbone)
    cross_NT = np.zeros((total, backbone.max_tokens), bool)
    strengths: dict[str, list[float]] = {name: [] for name in ("ca", "cr", "sa", "sr")}
    for query, (_, mine) in enumerate(tokens):
        for name in mine & edits.keys():
            for word in words[name]:
                cross_NT[query, word] = True
        area = (counted_NN[query] * same_frame[query]).sum() / same_frame[query].sum()
        in_scope = (counted_NN[query] * attends_NN[query]).sum() / attends_NN[query].sum()
        if settings.self_area == "squared" and settings.frames == "full":
            in_scope /= len(groups)
        worded = [edits[name] for name in mine if name in edits]
        weights = [edit.weight for edit in worded]
        repels = [edit.weight if edit.repel is None else edit.repel for edit in worded]
        free = [1.0] * (len(mine) - len(worded))
        cross = settings.cross * max(1 - area, 0)
        self_ = settings.self_ * max(1 - in_scope, 0)
        strengths["ca"].append(cross * max(weights, default=0))
        strengths["cr"].append(cross * max(repels, default=int(all_repelled)))
        strengths["sa"].append(self_ * max(weights + free, default=0))
        strengths["sr"].append(self_ * max(repels + free, default=int(all_repelled)))
    named = set().union(*words.values())
    kinds = ["modulated"] * backbone.max_tokens
    for word in backbone.padding(spec.target) if backbone.padding else ():
        kinds[word] = backbone.padding_keys
    shares = [
        0.0 if kind != "modulated" else 1.0 if word in named else spec.modulation.unbound
        for word, kind in enumerate(kinds)
    ]
    return Dense(
        [mine for _, mine in tokens],
        [frame for frame, _ in tokens],
        attends_NN,
        self_NN,
        cross_NT,
        np.array([shares] * total),
        kinds,
        *(np.array(strengths[name]) for name in ("ca", "cr", "sa", "sr")),
    )


def expanded(plan: MaskPlan, level: PlanLevel) -> Dense:
    """A level of a compiled plan, written out by its own tables."""
    frames = len(level.labels_FHW)
    labels = level.labels_FHW.reshape(-1)
    frame_N = np.repeat(np.arange(frames), level.tokens)
    names = [edit.region for edit in plan.edits]
    attends = np.zeros((frames, frames), int)
    for frame, keys in enumerate(plan.key_frames_FK):
        for key in keys:
            attends[frame, key] += 1
    return Dense(
        [{names[i] for i in np.flatnonzero(plan.members_CE[label])} for label in labels],
        frame_N.tolist(),
        attends[np.ix_(frame_N, frame_N)],
        plan.self_relation_CC[np.ix_(labels, labels)],
        plan.cross_relation_CT[labels],
        np.repeat(plan.repel_shares_T[None], len(labels), axis=0),
        [
            "neutral" * bool(neutral) + "masked" * bool(masked) or "modulated"
            for neutral, masked in zip(plan.neutral_T, plan.masked_T, strict=True)
        ],
        level.cross_attract_FC[frame_N, labels],
        level.cross_repel_FC[frame_N, labels],
        level.self_attract_FC[frame_N, labels],
        level.self_repel_FC[frame_N, labels],
    )


def dense_levels(spec: EditSpec, layout: Layout, backbone: Backbone) -> list[Dense]:
    """Every level of a spec's plan, written out."""
    return [dense_level(spec, layout, backbone, level) for level in range(backbone.level_count)]


def difference(plan: MaskPlan, spec: EditSpec, levels: list[Dense]) -> str:
    """Where a plan departs from a spec's levels, in words; empty where it does not.

    The backbone has attention at every level.
    """
    if [level.index for level in plan.levels] != list(range(len(levels))):
        return f"levels {[level.index for level in plan.levels]}"
    for level, expected in zip(plan.levels, levels, strict=True):
        found = expanded(plan, level)
        named = spec.modulation.levels
        some = [number for number in range(len(levels)) if named == "all" or number in named]
        if not some and spec.attention.levels is None:
            some = [*range(len(levels))]
        if level.modulated != (level.index in some):
            return f"level {level.index}: modulated is {level.modulated}"
        if len(found.regions_N) != len(expected.regions_N):
            return f"level {level.index} has {len(found.regions_N)} tokens"
        for token, (has, wants) in enumerate(zip(found.regions_N, expected.regions_N, strict=True)):
            if has != wants:
                return f"level {level.index}, token {token}: regions {has}, not {wants}"
        if found.kinds_T != expected.kinds_T:
            return f"text tokens are {found.kinds_T}, not {expected.kinds_T}"
        for name in ("attends_NN", "self_NN", "cross_NT"):
            if not np.array_equal(getattr(found, name), getattr(expected, name)):
                return f"level {level.index}: {name} differs"
        for name in (
            "shares_NT",
            "cross_attract_N",
            "cross_repel_N",
            "self_attract_N",
            "self_repel_N",
        ):
            if not np.allclose(getattr(found, name), getattr(expected, name), atol=1e-6):
                return f"level {level.index}: {name} differs"
    return ""

"""The mask plan: everything that a runtime needs to modulate attention.

A plan never contains an N x M mask. Every latent token of every level has a **class**: the set of
edits that it belongs to. Small tables say which classes and words attract each other, and how
strongly; strengths depend only on the frame and the class.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from grainspec.model.numbers import first_steps
from grainspec.model.spec import FrameScope, Modulation
from grainspec.pasted import ShownByRepr
from grainspec.plan.backbone import Noise, frame_groups
from grainspec.words import CharSpan

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.unsignedinteger]
Relation = npt.NDArray[np.bool_]

NO_CLASS = 0
"""The class of latent tokens that belong to no edit; `outside` says how they are modulated."""


@dataclass(frozen=True, slots=True)
class PlannedEdit:
    """One edit: its region, its words, and where they are in the prompt and in the text tokens."""

    region: str
    verb: str
    grain: str | None
    owner: str | None
    phrase: str
    weight: float
    repel: float
    spans: tuple[CharSpan, ...]
    """Character spans of every occurrence in the target prompt."""
    tokens: tuple[tuple[int, ...], ...]
    """Text token positions of every occurrence."""


@dataclass(frozen=True, eq=False)
class PlanLevel(ShownByRepr):
    """One level: a grid of latent tokens.

    labels_FHW: the class of every latent token. The strengths, float32 ``[F, C]`` by frame and
    class, are those at full schedule (ξ = 1); the schedule scales them, and the product is clamped
    to 1.
    """

    index: int
    labels_FHW: Labels
    cross_attract_FC: Floats
    cross_repel_FC: Floats
    self_attract_FC: Floats
    self_repel_FC: Floats
    modulated: bool = True

    def __repr__(self) -> str:
        """A summary; the arrays are too long for an expression."""
        frames, rows, columns = self.labels_FHW.shape
        grid = f"latent frames {frames}, grid {columns}x{rows}"
        unused = "" if self.modulated else ", not modulated"
        return f"<PlanLevel {self.index}: {grid}, classes {self.cross_attract_FC.shape[1]}{unused}>"

    @property
    def tokens(self) -> int:
        """Number of latent tokens per frame."""
        return int(np.prod(self.labels_FHW.shape[1:]))


@dataclass(frozen=True, eq=False)
class MaskPlan(ShownByRepr):
    """Positive and negative attention pairs of an edit, for one backbone and clip.

    frames are source frame numbers. If latent frames stand for several frames (first_frames those
    of the first, frames_per_latent those of each other), F below counts latent frames; ``groups``
    has the frames of each.

    noise: whether timesteps are DDPM's, or T times the noise level σ of flow matching (``flow``).
    members_CE: bool ``[C, E]``, the edits that each class belongs to; row 0 is empty.
    words_ET: bool ``[E, T]``, the text tokens of each edit's phrase.
    neutral_T: bool ``[T]``, padding that is attended without modulation.
    masked_T: bool ``[T]``, padding that is not attended at all.
    key_frames_FK: int ``[F, K]``, the frames that each frame attends to.
    edited_FHW: bool at the latent's resolution (``patch`` times that of level 0), True where the
    latent may change: where edits have at least half of the pixels of a latent pixel, or its latent
    token (with `resize nearest`: the pixel at its centre, with `corner` that at its corner).
    """

    target: str
    frames: tuple[int, ...]
    first_frames: int
    frames_per_latent: int
    noise: Noise
    edits: tuple[PlannedEdit, ...]
    attention: Modulation
    backbone: str
    training_steps: int
    width: int
    height: int
    members_CE: Relation
    words_ET: Relation
    neutral_T: Relation
    masked_T: Relation
    key_frames_FK: npt.NDArray[np.int32]
    edited_FHW: Relation
    levels: tuple[PlanLevel, ...]
    _cache: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def groups(self) -> list[range]:
        """The frames of each latent frame, as indices into ``frames``."""
        return frame_groups(len(self.frames), self.frames_per_latent, self.first_frames)

    @property
    def patch(self) -> int:
        """Latents on each side of a latent token of level 0."""
        return int(self.edited_FHW.shape[1] // self.levels[0].labels_FHW.shape[1])

    @property
    def self_relation_CC(self) -> Relation:
        """Whether latent tokens of two classes are a positive pair: they share an edit."""
        members = self.members_CE.astype(np.int32)
        return np.asarray(members @ members.T > 0)

    @property
    def cross_relation_CT(self) -> Relation:
        """Whether a class and a text token are a positive pair: the edit's phrase has it."""
        members = self.members_CE.astype(np.int32)
        return np.asarray(members @ self.words_ET.astype(np.int32) > 0)

    @property
    def repel_shares_T(self) -> Floats:
        """The share of λ⁻ with which each text token repels.

        It is ``unbound`` for those of no edit, and 0 for padding that is not modulated.
        """
        bound = self.words_ET.any(axis=0)
        shares = np.where(bound, 1, self.attention.unbound)
        return np.where(self.neutral_T | self.masked_T, 0, shares).astype(np.float32)

    def is_active(self, step: int, steps: int, timestep: float) -> bool:
        """Whether sampling step ``step`` of ``steps`` (from 0), at a timestep, is modulated.

        The first ``until`` of the steps are modulated: 15 of 50 for 30%, as in the paper. The
        number is rounded, halves up, and is at least 1 unless ``until`` is 0. Steps below the
        timestep ``until_timestep`` are not modulated.
        """
        in_time = timestep >= self.attention.until_timestep
        return in_time and step < first_steps(self.attention.until, steps)

    def schedule(self, timestep: float) -> float:
        """ξ(t) = ((t − t₀) / T) ** p at a diffusion timestep, with ``timestep_offset`` as t₀."""
        time = max(0.0, timestep - self.attention.timestep_offset)
        return float((time / self.training_steps) ** self.attention.decay)

    def at(self, timestep: float, table: Floats) -> Floats:
        """A table of strengths at a diffusion timestep: scaled by ξ, clamped to [0, 1]."""
        scaled = table * np.float32(self.schedule(timestep))
        return np.asarray(np.minimum(scaled, np.float32(1)))

    def areas(self, level: PlanLevel) -> npt.NDArray[np.float64]:
        """The share of each frame that each edit covers, ``[F, E]``."""
        counts = class_counts(level.labels_FHW, len(self.members_CE))
        return np.asarray(counts @ self.members_CE / level.tokens)

    def nbytes(self) -> int:
        """The number of bytes of all arrays."""
        return sum(array.nbytes for array in self.arrays().values())

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All arrays by name, as saved."""
        named: dict[str, npt.NDArray[Any]] = {
            "members": self.members_CE,
            "words": self.words_ET,
            "neutral": self.neutral_T,
            "masked": self.masked_T,
            "key_frames": self.key_frames_FK,
            "edited": self.edited_FHW,
        }
        for level in self.levels:
            prefix = f"level{level.index}"
            named[f"{prefix}.labels"] = level.labels_FHW
            named[f"{prefix}.cross_attract"] = level.cross_attract_FC
            named[f"{prefix}.cross_repel"] = level.cross_repel_FC
            named[f"{prefix}.self_attract"] = level.self_attract_FC
            named[f"{prefix}.self_repel"] = level.self_repel_FC
        return named

    def header(self) -> dict[str, Any]:
        """Everything except the arrays, as JSON values."""
        return {
            "target": self.target,
            "frames": list(self.frames),
            "first_frames": self.first_frames,
            "frames_per_latent": self.frames_per_latent,
            "noise": self.noise,
            "edits": [
                {
                    "region": edit.region,
                    "verb": edit.verb,
                    "grain": edit.grain,
                    "owner": edit.owner,
                    "phrase": edit.phrase,
                    "weight": edit.weight,
                    "repel": edit.repel,
                    "spans": [list(span) for span in edit.spans],
                    "tokens": [list(tokens) for tokens in edit.tokens],
                }
                for edit in self.edits
            ],
            "attention": self.attention.model_dump(mode="json", by_alias=True),
            "backbone": self.backbone,
            "training_steps": self.training_steps,
            "width": self.width,
            "height": self.height,
            "modulated": [level.modulated for level in self.levels],
        }

    @property
    def digest(self) -> str:
        """A hash of the whole content; it does not depend on the machine or the time."""
        if "digest" not in self._cache:
            self._cache["digest"] = content_digest(self.header(), self.arrays())
        return self._cache["digest"]

    def __repr__(self) -> str:
        """A summary; the arrays are too long for an expression."""
        regions = ", ".join(edit.region for edit in self.edits[:8]) + ", …" * (len(self.edits) > 8)
        size = f"frames {len(self.frames)}, size {self.width}x{self.height}"
        tables = f"levels {len(self.levels)}, classes {len(self.members_CE)}"
        return f"<MaskPlan of {regions}: {size}, {tables}, digest {self.digest[:12]}>"

    def _repr_html_(self) -> str:
        return str(
            import_module("grainspec.notebook").plan_html(self)
        )  # by name: no circle of imports

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MaskPlan) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


def content_digest(header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """A hash of JSON values and named arrays."""
    sha = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        sha.update(f"{name}{array.dtype.str}{array.shape}".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def class_counts(labels_FHW: Labels, classes: int) -> npt.NDArray[np.int64]:
    """Count the latent tokens of every class on every frame, ``[F, C]``.

    >>> class_counts(np.array([[[0, 1], [1, 2]]]), 3)
    array([[1, 2, 1]])
    """
    return np.stack([np.bincount(frame.ravel(), minlength=classes) for frame in labels_FHW])


def key_frames(scope: FrameScope, count: int) -> npt.NDArray[np.int32]:
    """The frames that each of ``count`` frames attends to, ``[F, K]``.

    >>> key_frames("sparse_causal", 3).tolist()
    [[0, 0], [0, 0], [0, 1]]
    """
    every = np.arange(count, dtype=np.int32)
    first = np.zeros(count, np.int32)
    if scope == "each":
        return every[:, None]
    if scope == "first_last":
        return np.stack([first, np.full(count, count - 1, np.int32)], axis=1)
    if scope == "sparse_causal":
        return np.stack([first, np.maximum(every - 1, 0)], axis=1)
    return np.broadcast_to(every, (count, count)).copy()

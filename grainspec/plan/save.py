"""Save and load plans: one safetensors file, with the metadata as JSON in its header. No pickle."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from grainspec.diagnostics import fail
from grainspec.model.shapes import MAX_FRAME
from grainspec.model.spec import MAX_WEIGHT, Modulation
from grainspec.plan.backbone import Noise
from grainspec.plan.mask_plan import MaskPlan, PlanLevel, PlannedEdit, content_digest, key_frames
from grainspec.regular_file import require_regular
from grainspec.whole_file import whole_file

_FORMAT = "grainspec.plan.6"
_READABLE = {"grainspec.plan.4", "grainspec.plan.5", _FORMAT}
"""The formats that are loaded. The fourth is without padding, and without the settings and fields
of video transformers; the fifth without the settings that choose between the published equations
and VideoGrain's code. Their defaults are right for those plans."""
_UNREADABLE = (OSError, KeyError, ValueError, TypeError, AttributeError)
"""Errors that NumPy and safetensors raise for broken files."""
_MAX_STEPS = 1_000_000
_MAX_CELL = 64
"""More pixels than any VAE puts into a side of one latent token."""
_TABLES = ("cross_attract", "cross_repel", "self_attract", "self_repel")


@dataclass(frozen=True)
class _Header:
    """The metadata in a file's header."""

    target: str
    frames: tuple[int, ...]
    frames_per_latent: int
    edits: tuple[PlannedEdit, ...]
    attention: Modulation
    backbone: str
    training_steps: int
    width: int
    height: int
    modulated: tuple[bool, ...]
    first_frames: int = 1
    noise: Noise = "ddpm"


def save_plan(plan: MaskPlan, path: str | Path) -> None:
    """Save a plan to a file; nothing is written if saving fails.

    >>> import tempfile
    >>> import numpy as np
    >>> import grainspec
    >>> from grainspec.regions.layout import Layout
    >>> from grainspec.testing import word_backbone
    >>> spec = grainspec.parse('grain 1 video "c" target "a bear" region r = all edit r -> "bear"')
    >>> layout = Layout.of({"r": np.ones((1, 64, 64), bool)})
    >>> plan = grainspec.compile(spec, layout, word_backbone())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_plan(plan, f"{folder}/plan.safetensors")
    ...     load_plan(f"{folder}/plan.safetensors") == plan
    True
    """
    metadata = {"format": _FORMAT, "plan": json.dumps(plan.header()), "digest": plan.digest}
    arrays = {name: np.ascontiguousarray(array) for name, array in plan.arrays().items()}
    with whole_file(Path(path)) as partial:
        partial.write_bytes(_in_order(save(arrays, metadata=metadata)))


def _in_order(content: bytes) -> bytes:
    """Sort the header of a safetensors file: the library writes metadata in a random order."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the arrays after it are aligned
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def load_plan(path: str | Path) -> MaskPlan:
    """Load a plan; raise GrainError (G405) if the file is not a plan or is damaged.

    >>> try:
    ...     load_plan(__file__)
    ... except Exception as error:
    ...     print(error.diagnostics[0].code)
    G405
    """
    try:
        require_regular(Path(path))
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") not in _READABLE:
                message = f"{path} is not a plan of this release"
                raise fail("G405", message, "Compile it again with `grain plan`.")
            header = TypeAdapter(_Header).validate_json(metadata.get("plan", ""))
            arrays: dict[str, Any] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if content_digest(json.loads(metadata["plan"]), arrays) != metadata.get("digest"):
            message = f"the checksum of the plan {path} does not match its contents"
            raise fail("G405", message, "Compile it again with `grain plan`.")
        plan = _assemble(header, arrays)
        _validate(plan)
    except (*_UNREADABLE, SafetensorError, ValidationError) as error:
        message = f"the plan {path} cannot be read: {error}".splitlines()[0]
        raise fail("G405", message, "Compile it again with `grain plan`.") from error
    return plan


def _assemble(header: _Header, arrays: dict[str, Any]) -> MaskPlan:
    levels = []
    for index, modulated in enumerate(header.modulated):
        tables = {f"{name}_FC": arrays[f"level{index}.{name}"] for name in _TABLES}
        labels = arrays[f"level{index}.labels"]
        levels.append(PlanLevel(index=index, labels_FHW=labels, modulated=modulated, **tables))
    no_padding = np.zeros(arrays["words"].shape[-1:], np.bool_)
    return MaskPlan(
        target=header.target,
        frames=header.frames,
        first_frames=header.first_frames,
        frames_per_latent=header.frames_per_latent,
        noise=header.noise,
        edits=header.edits,
        attention=header.attention,
        backbone=header.backbone,
        training_steps=header.training_steps,
        width=header.width,
        height=header.height,
        members_CE=arrays["members"],
        words_ET=arrays["words"],
        neutral_T=arrays.get("neutral", no_padding),
        masked_T=arrays.get("masked", no_padding),
        key_frames_FK=arrays["key_frames"],
        edited_FHW=arrays["edited"],
        levels=tuple(levels),
    )


def _validate(plan: MaskPlan) -> None:
    """Raise ValueError for content that would fail, or read out of bounds, when it is applied."""
    _expect(plan.frames_per_latent > 0, "frames_per_latent is not positive")
    _expect(plan.first_frames > 0, "first_frames is not positive")
    edits, classes = len(plan.edits), len(plan.members_CE)
    frames = len(plan.groups)
    _expect(
        len(plan.frames) > 0 and edits > 0 and len(plan.levels) > 0,
        "it has no frames, edits or levels",
    )
    _expect(0 < plan.training_steps <= _MAX_STEPS, "training_steps is out of range")
    ordered = plan.frames == tuple(sorted(set(plan.frames))) and plan.frames[0] >= 0
    _expect(ordered and plan.frames[-1] <= MAX_FRAME, "the frames are not in ascending order")
    rows, columns = (*plan.edited_FHW.shape, 0, 0)[1:3]
    fits = 0 < plan.height <= rows * _MAX_CELL and 0 < plan.width <= columns * _MAX_CELL
    _expect(fits, "width or height does not match the labels")
    _has(plan.members_CE, "members", (np.bool_,), (classes, edits))
    _expect(classes > 0 and not plan.members_CE[0].any(), "the first class is not empty")
    _has(plan.words_ET, "words", (np.bool_,), (edits, None))
    _has(plan.key_frames_FK, "key frames", (np.int32,), (frames, None))
    keys = key_frames(plan.attention.frames, frames)
    _expect(np.array_equal(plan.key_frames_FK, keys), "the key frames do not match `frames`")
    text_tokens = plan.words_ET.shape[1]
    _has(plan.neutral_T, "neutral", (np.bool_,), (text_tokens,))
    _has(plan.masked_T, "masked", (np.bool_,), (text_tokens,))
    kinds = plan.words_ET.any(axis=0) + 1 * plan.neutral_T + 1 * plan.masked_T
    _expect(kinds.max() <= 1, "a text token is of two kinds")
    for edit, row in zip(plan.edits, plan.words_ET, strict=True):
        positions = {position for tokens in edit.tokens for position in tokens}
        _expect(positions == set(np.flatnonzero(row).tolist()), "the words do not match the edits")
        weights = 0 <= edit.weight <= MAX_WEIGHT and 0 <= edit.repel <= MAX_WEIGHT
        _expect(weights, "a weight is out of range")
    for level in plan.levels:
        _has(level.labels_FHW, "labels", (np.uint8, np.uint16), (frames, None, None))
        _expect(int(level.labels_FHW.max()) < classes, "a label has no class")
        for name in _TABLES:
            table = getattr(level, f"{name}_FC")
            _has(table, name, (np.float32,), (frames, classes))
            # A strength is a setting of at most 1, times a weight; NaN fails both comparisons.
            _expect(bool(((table >= 0) & (table <= MAX_WEIGHT)).all()), f"{name} is out of range")
    grid = plan.levels[0].labels_FHW.shape[1:]
    patch = max(1, rows // grid[0])
    _has(plan.edited_FHW, "edited", (np.bool_,), (frames, grid[0] * patch, grid[1] * patch))


def _has(array: Any, name: str, types: tuple[Any, ...], shape: tuple[int | None, ...]) -> None:
    same = array.ndim == len(shape) and all(
        size == wanted or (wanted is None and size > 0)
        for size, wanted in zip(array.shape, shape, strict=False)
    )
    _expect(same, f"{name} has the shape {array.shape}")
    _expect(array.dtype in types, f"{name} has the type {array.dtype}")


def _expect(right: bool, otherwise: str) -> None:
    if not right:
        raise ValueError(otherwise)

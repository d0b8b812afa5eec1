"""Plans on disk: one safetensors file, its header holding the rest as JSON. No pickle."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from grainspec.diagnostics import fail
from grainspec.plan.mask_plan import MaskPlan, PlanLevel, PlannedEdit
from grainspec.spec import Attention

_FORMAT = "grainspec.plan.1"
_TABLES = ("cross_attract", "cross_repel", "self_attract", "self_repel")


@dataclass(frozen=True)
class _Header:
    """What a file's header must hold."""

    target: str
    frames: tuple[int, ...]
    edits: tuple[PlannedEdit, ...]
    attention: Attention
    backbone: str
    training_steps: int
    width: int
    height: int
    modulated: tuple[bool, ...]


def save_plan(plan: MaskPlan, path: str | Path) -> None:
    """Write a plan, whole or not at all."""
    path = Path(path)
    metadata = {"format": _FORMAT, "plan": json.dumps(plan.header()), "digest": plan.digest}
    arrays = {name: np.ascontiguousarray(array) for name, array in plan.arrays().items()}
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(save(arrays, metadata=metadata))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_plan(path: str | Path) -> MaskPlan:
    """Read a plan; raises GrainError (G405) if the file is none, or was changed or cut off."""
    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise fail("G405", f"{path} is no plan of this release")
            header = TypeAdapter(_Header).validate_json(metadata.get("plan", ""))
            arrays: dict[str, Any] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        plan = _assemble(header, arrays)
    except (OSError, SafetensorError, ValidationError, KeyError, ValueError) as error:
        message = f"the plan {path} cannot be read: {error}".splitlines()[0]
        raise fail("G405", message, "Compile it again with `grain plan`.") from error
    if plan.digest != metadata.get("digest"):
        message = f"the plan {path} is not what was saved"
        raise fail("G405", message, "Compile it again with `grain plan`.")
    return plan


def _assemble(header: _Header, arrays: dict[str, Any]) -> MaskPlan:
    levels = []
    for index, modulated in enumerate(header.modulated):
        tables = {f"{name}_FC": arrays[f"level{index}.{name}"] for name in _TABLES}
        labels = arrays[f"level{index}.labels"]
        levels.append(PlanLevel(index=index, labels_FHW=labels, modulated=modulated, **tables))
    return MaskPlan(
        target=header.target,
        frames=header.frames,
        edits=header.edits,
        attention=header.attention,
        backbone=header.backbone,
        training_steps=header.training_steps,
        width=header.width,
        height=header.height,
        members_CE=arrays["members"],
        words_ET=arrays["words"],
        key_frames_FK=arrays["key_frames"],
        edited_FHW=arrays["edited"],
        levels=tuple(levels),
    )

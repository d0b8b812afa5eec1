"""A finished run, read back from its folder: the clip before and after, and what was asked for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from grainspec.clip.facts import probe
from grainspec.clip.crop import frame_crop
from grainspec.diagnostics import GrainError, fail
from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.save import load_plan
from grainspec.model.spec import EditSpec, Size
from grainspec_runtime.media.decode import Frames, decode_frames, decode_lossless

MANIFEST, PLAN, EDITED = "run.json", "plan.safetensors", "edited.mkv"
MEASURES = "measures.json"
_MOST = 16_000_000
"""Bytes of a manifest; those that are written have some thousands."""


@dataclass(frozen=True)
class Run:
    """A run: source and edited clip, uint8 ``[F, H, W, 3]``, and what was to be edited."""

    folder: Path
    variant: str | None
    target: str
    source: Frames
    edited: Frames
    edited_FHW: npt.NDArray[np.bool_]
    """Where the sampler was free to change something."""
    plan: MaskPlan
    manifest: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Measured:
    """A measure that ``grain measure`` has taken: a number, or the reason why there is none."""

    title: str
    value: float | None
    reason: str = ""


def runs_in(folder: Path) -> list[Path]:
    """The run that a folder is, or the runs of variants in folders of their own inside it.

    Raises GrainError (G317) where there is none.
    """
    if (folder / MANIFEST).is_file():
        return [folder]
    inside = sorted(path.parent for path in folder.glob(f"*/{MANIFEST}")) if folder.is_dir() else []
    if not inside:
        message = f"{folder} holds no run: there is no {MANIFEST}"
        raise fail("G317", message, "Name a folder that `grain run` has written.")
    return inside


def read_run(folder: Path) -> Run:
    """Read a run's clips; raises GrainError: G317 for a run that is not whole, and whatever there
    is to say of its clip or plan."""
    manifest = _manifest(folder / MANIFEST)
    for name in (PLAN, EDITED):
        if not (folder / name).is_file():
            message = f"the run {folder} is not whole: there is no {name}"
            raise fail("G317", message, "Run its spec again.")
    try:
        spec = EditSpec.model_validate(manifest["spec"])
        base, variant = Path(manifest["base"]), manifest.get("variant")
        if not (variant is None or isinstance(variant, str)):
            raise TypeError("its variant has no name")
    except (KeyError, TypeError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        message = f"{folder / MANIFEST} is not what `grain run` writes: {reason}"
        raise fail("G317", message, "Run its spec again.") from error
    plan = load_plan(folder / PLAN)
    return Run(
        folder=folder,
        variant=variant,
        target=plan.target,
        source=_source(base / spec.video.path, spec, plan),
        edited=_edited(folder / EDITED, plan),
        edited_FHW=free_pixels(plan),
        plan=plan,
        manifest=manifest,
    )


def read_measures(folder: Path) -> list[Measured]:
    """What ``grain measure`` has left in a run's folder; empty where there is nothing of the kind.

    Raises GrainError (G317) where that cannot be read.
    """
    path = folder / MEASURES
    if not path.is_file():
        return []
    found = []
    measures = _manifest(path).get("measures")
    for one in filter(_is_object, measures if isinstance(measures, list) else []):
        title, value = str(one.get("title", "")), one.get("value")
        if not isinstance(value, (int, float)):
            value = None
        found.append(Measured(title, value, str(one.get("reason", ""))))
    return found


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _manifest(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST:
            raise ValueError("it is too large")
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it holds no JSON object")
    except (OSError, ValueError, RecursionError) as error:
        message = f"{path} cannot be read: {error}".splitlines()[0]
        raise fail("G317", message, "Run its spec again.") from error
    return found


def _source(path: Path, spec: EditSpec, plan: MaskPlan) -> Frames:
    try:
        facts = probe(path, needed=plan.frames[-1])
    except GrainError as error:
        first = error.diagnostics[0]
        cure = "This needs the source clip where it was when the spec was run."
        raise fail(first.code, first.message, cure) from error
    size = Size(width=plan.width, height=plan.height)
    return decode_frames(path, plan.frames, frame_crop(spec.video, facts, size))


def _edited(path: Path, plan: MaskPlan) -> Frames:
    facts = probe(path)
    count, width, height = len(plan.frames), plan.width, plan.height
    if (facts.frames, facts.width, facts.height) != (count, width, height):
        message = f"{path} is not of the run's plan"
        cure = f"It should have {count} frames of {width}x{height} pixels. Run its spec again."
        raise fail("G317", message, cure)
    return decode_lossless(path, count)


def free_pixels(plan: MaskPlan) -> npt.NDArray[np.bool_]:
    """The latent cells that the sampler may change, as pixels, for every frame of the clip."""
    latent_Fhw = plan.edited_FHW
    rows = np.arange(plan.height) * latent_Fhw.shape[1] // plan.height
    columns = np.arange(plan.width) * latent_Fhw.shape[2] // plan.width
    frames = [index for index, group in enumerate(plan.groups) for _ in group]
    return np.asarray(latent_Fhw[np.ix_(frames, rows, columns)])

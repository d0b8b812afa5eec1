"""Read a finished run from its folder: source, result, plan and manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from grainspec.clip.crop import FrameCrop, frame_crop
from grainspec.clip.facts import probe
from grainspec.diagnostics import GrainError, fail
from grainspec.limits import MAX_RECORD_BYTES
from grainspec.model.spec import EditSpec, Size
from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.save import load_plan
from grainspec.regular_file import read_json
from grainspec_runtime.media.decode import Frames, decode_frames, decode_lossless
from grainspec_runtime.media.times import FrameTimes, clip_times
from grainspec_runtime.whole_folder import is_left_over, restored

MANIFEST, PLAN, EDITED = "run.json", "plan.safetensors", "edited.mkv"
EDITED_MP4 = "edited.mp4"
MEASURES, REPORT = "measures.json", "report.html"
BATCH_ROW = "batch-row.json"
"""What a batch writes beside its run: what only it knows of the run's row."""
WHOLE = (
    *(EDITED_MP4, EDITED, "side_by_side.mp4", "overlay.png", "overview.png"),
    *(PLAN, REPORT, MANIFEST),
)
"""The files that every run has, besides a copy of its spec."""
COMPARISON = frozenset({"variants.mp4", "variants.png", "variants.html"})
"""Files next to the folders of a spec's variants."""


@dataclass(frozen=True)
class Run:
    """A finished run: source and edited clip, uint8 ``[F, H, W, 3]``, plan and manifest."""

    folder: Path
    variant: str | None
    target: str
    source: Frames
    edited: Frames
    edited_FHW: npt.NDArray[np.bool_]
    """The pixels that the sampler was free to change."""
    plan: MaskPlan
    manifest: dict[str, Any]
    times: FrameTimes
    crop: FrameCrop
    """How the source's frames became the plan's; the clips above are without its padding."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric that ``grain measure`` saved: a value and a note, or why there is no value."""

    title: str
    value: float | None
    reason: str = ""
    note: str = ""


def is_kept(entry: Path) -> bool:
    """Whether an entry of a run's folder stays when the run is replaced: variants' runs do."""
    return entry.name in COMPARISON or _is_run(entry)


def _is_run(folder: Path) -> bool:
    return (folder / MANIFEST).is_file() and not is_left_over(folder)


def missing_file(folder: Path) -> str | None:
    """Return the name of a file that a run lacks, or that is empty; None if it has all."""
    for name in WHOLE:
        try:
            if not (folder / name).stat().st_size:
                return name
        except OSError:
            return name
    return None


def runs_in(folder: Path) -> list[Path]:
    """Return ``folder`` itself if it is a run, otherwise the runs of variants inside it.

    Raises GrainError (G317) if there are none.
    """
    restored(folder, keeps=is_kept, last=MANIFEST)
    if (folder / MANIFEST).is_file():
        return [folder]
    inside = sorted(filter(_is_run, folder.iterdir())) if folder.is_dir() else []
    if not inside:
        message = f"{folder} is not the folder of a run: it has no {MANIFEST}"
        raise fail("G317", message, "Name a folder that `grain run` wrote.")
    return inside


def read_run(folder: Path) -> Run:
    """Read a run's clips, plan and manifest.

    Raises GrainError: G317 if the run is incomplete, or the code of a fault in its clip or plan.
    """
    restored(folder, keeps=is_kept, last=MANIFEST)
    manifest = read_manifest(folder)
    for name in (PLAN, EDITED):
        if not (folder / name).is_file():
            message = f"the run {folder} is incomplete: {name} is missing"
            raise fail("G317", message, "Run its spec again.")
    spec, base, variant = spec_of(folder, manifest)
    plan = load_plan(folder / PLAN)
    clip = base / spec.video.path
    crop = _crop(clip, spec, plan)
    return Run(
        folder=folder,
        variant=variant,
        target=plan.target,
        source=crop.unpadded(decode_frames(clip, plan.frames, crop)),
        edited=_edited(folder / EDITED, plan, crop),
        edited_FHW=crop.unpadded(free_pixels(plan)),
        plan=plan,
        manifest=manifest,
        times=_times(folder / EDITED, plan),
        crop=crop,
    )


def spec_of(folder: Path, manifest: dict[str, Any]) -> tuple[EditSpec, Path, str | None]:
    """The spec of a run's manifest, the folder where its paths start, and its variant.

    Raises GrainError (G317) if the manifest has none.
    """
    try:
        spec = EditSpec.model_validate(manifest["spec"])
        base, variant = Path(manifest["base"]), manifest.get("variant")
        if not (variant is None or isinstance(variant, str)):
            raise TypeError("`variant` is not a string")
    except (KeyError, TypeError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        message = f"{folder / MANIFEST} is not a valid manifest: {reason}"
        raise fail("G317", message, "Run its spec again.") from error
    tracked = manifest.get("tracked")
    file = tracked.get("file") if _is_object(tracked) else ""
    return spec.in_folder(base, PurePath(str(file or "")).name), base, variant


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read a run's manifest; raises GrainError (G317) if it is no object, or has wild numbers."""
    return _json_object(folder / MANIFEST)


def read_measures(folder: Path) -> list[Measured]:
    """Read the metrics that ``grain measure`` saved in a run's folder; empty if there are none.

    Raises GrainError (G317) if the file cannot be read.
    """
    path = folder / MEASURES
    return measures_from(_json_object(path)) if path.exists() else []


def measures_from(saved: Mapping[str, Any]) -> list[Measured]:
    """Return the metrics in the content of ``measures.json``."""
    measured = []
    entries = saved.get("measures")
    for entry in filter(_is_object, entries if isinstance(entries, list) else []):
        title, value = str(entry.get("title", "")), entry.get("value")
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            value = None
        reason, note = (str(entry.get(name, "")) for name in ("reason", "note"))
        measured.append(Measured(title, value, reason, note))
    return measured


def _is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _json_object(path: Path) -> dict[str, Any]:
    try:
        value = read_json(path, most=MAX_RECORD_BYTES, bounded=True)
        if not isinstance(value, dict):
            raise ValueError("the file is not a JSON object")
    except (OSError, ValueError) as error:
        message = f"cannot read {path}: {error}".splitlines()[0]
        raise fail("G317", message, "Run its spec again.") from error
    return value


def _crop(path: Path, spec: EditSpec, plan: MaskPlan) -> FrameCrop:
    try:
        facts = probe(path, needed=plan.frames[-1], fps=spec.video.fps)
    except GrainError as error:
        first = error.diagnostics[0]
        cure = f"Put the source clip back where it was during the run: {path}."
        raise fail(first.code, first.message, cure) from error
    size = Size(width=plan.width, height=plan.height)
    return frame_crop(spec.video, facts, size)


def _edited(path: Path, plan: MaskPlan, crop: FrameCrop) -> Frames:
    facts = probe(path)
    count, width, height = len(plan.frames), crop.width, crop.height
    if (facts.frames, facts.width, facts.height) != (count, width, height):
        message = (
            f"{path} does not match the run's plan: it has {facts.frames} frames of "
            f"{facts.width}x{facts.height} pixels; expected {count} of {width}x{height}"
        )
        cure = "Run its spec again."
        raise fail("G317", message, cure)
    return decode_lossless(path, count)


def _times(path: Path, plan: MaskPlan) -> FrameTimes:
    return clip_times(path, range(len(plan.frames)), step=1, fps=probe(path).fps)


def free_pixels(plan: MaskPlan) -> npt.NDArray[np.bool_]:
    """Which pixels the sampler may change, bool ``[F, H, W]``, in steps of whole latent cells."""
    latent_Fhw = plan.edited_FHW
    rows = np.arange(plan.height) * latent_Fhw.shape[1] // plan.height
    columns = np.arange(plan.width) * latent_Fhw.shape[2] // plan.width
    frames = [index for index, group in enumerate(plan.groups) for _ in group]
    return np.asarray(latent_Fhw[np.ix_(frames, rows, columns)])

"""Write a run's folder: the edited clip, pictures, and everything needed to repeat the run."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from grainspec.checks.sound import sound_lost
from grainspec.diagnostics import GrainError, fail
from grainspec.plan.save import save_plan
from grainspec.whole_file import whole_file
from grainspec_runtime.editing.result import EditResult
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.media.encode import encode_lossless, encode_video
from grainspec_runtime.media.sound import SoundLost
from grainspec_runtime.media.times import FrameTimes
from grainspec_runtime.passes import denoiser_passes
from grainspec_runtime.report.contents import contents_of
from grainspec_runtime.report.page import report_page
from grainspec_runtime.runs.read import (
    BATCH_ROW,
    COMPARISON,
    EDITED,
    EDITED_MP4,
    MANIFEST,
    REPORT,
    WHOLE,
    Run,
    free_pixels,
    is_kept,
    missing_file,
    read_manifest,
    read_run,
)
from grainspec_runtime.study.save import STUDY_FILES, save_study
from grainspec_runtime.views.overlay import legend, meanings, overlay
from grainspec_runtime.views.sheet import enlarged, sheet, side_by_side
from grainspec_runtime.whole_folder import claimed, is_left_over, whole_folder

_FILES = frozenset(
    {
        *WHOLE,
        "controls.mp4",
        "reconstruction.mp4",
        "spec.grain",
        "spec.json",
        "measures.json",
        BATCH_ROW,
        *STUDY_FILES,
    }
)
_CURE = "Choose another folder: `-o FOLDER`."
_PACKAGES = ("grainspec", "torch", "diffusers", "transformers", "numpy", "av", "decord")


OF_RUNS = _FILES | COMPARISON
"""Names of the files in the folders of runs, and of runs of variants."""


def check_writable(folder: Path, own: Collection[str] = OF_RUNS) -> None:
    """Raise GrainError (G310) if a run cannot be written to ``folder``.

    The files of an earlier run are replaced. A folder with anything else is not touched: only files
    named ``own`` and subfolders with runs of variants are allowed.
    """
    if folder.exists() and not folder.is_dir():
        raise fail("G310", f"{folder} is a file, not a folder", _CURE)
    with claimed(folder, keeps=is_kept, last=MANIFEST):  # permissions tell less than writing does
        foreign = sorted(
            path.name
            for path in (folder.iterdir() if folder.exists() else ())
            if path.name not in own and not is_kept(path) and not is_left_over(path)
        )
    if foreign:
        message = f"{folder} contains files that are not from a grain run, such as {foreign[0]}"
        raise fail("G310", message, _CURE)


@contextmanager
def claimed_runs(folders: Iterable[Path]) -> Iterator[None]:
    """Keep other processes from writing these folders of runs inside the block.

    Raises GrainError (G340) if another process is writing one of them.
    """
    with ExitStack() as held:
        for folder in folders:
            held.enter_context(claimed(folder, keeps=is_kept, last=MANIFEST))
        yield


def save_run(
    result: EditResult, folder: Path, *, spec_text: str, spec_name: str, arguments: list[str]
) -> EditResult:
    """Write a run's folder, whole or not at all; return the result with warnings about writing it.

    ``spec_text`` is the spec as the user wrote it; the suffix of ``spec_name`` is its format.
    """
    check_writable(folder)
    prepared = result.prepared
    with whole_folder(folder, keeps=is_kept, last=MANIFEST) as place:
        result = _save_edited(result, place)
        both = side_by_side(result.source, result.edited)
        encode_video(both, place / "side_by_side.mp4", fps=result.times)
        if result.controls:
            encode_video(side_by_side(*result.controls), place / "controls.mp4", fps=result.times)
        if result.reconstruction:
            back = side_by_side(result.source, result.reconstruction.frames)
            encode_video(back, place / "reconstruction.mp4", fps=result.times)
        marked = overlay(result.source, prepared.bound.shown)
        overlay_picture(result).save(place / "overlay.png")
        sheet({"source": result.source, "regions": marked, "edit": result.edited}).save(
            place / "overview.png"
        )
        spec_file = "spec.json" if spec_name.endswith(".json") else "spec.grain"
        (place / spec_file).write_text(spec_text, encoding="utf-8")
        save_plan(prepared.plan, place / "plan.safetensors")
        if result.study:
            padded = prepared.bound.crop.padded  # the study's maps are of padded frames
            clips = padded(result.source), padded(result.edited)
            save_study(result.study, prepared.plan, *clips, place, fps=result.times)
        manifest = manifest_of(result, arguments)
        text = json.dumps(manifest, indent=2, ensure_ascii=False)
        (place / MANIFEST).write_text(text + "\n", encoding="utf-8", errors="replace")
        page = report_page([contents_of(place, as_run(result, folder, manifest))])
        (place / REPORT).write_text(page, encoding="utf-8", errors="replace")
    return result


def _save_edited(result: EditResult, folder: Path) -> EditResult:
    """Write the edited clip, without sound if that cannot be read, and with a warning then."""
    try:
        encode_video(result.edited, folder / EDITED_MP4, fps=result.times, sound=result.sound)
        encode_lossless(result.edited, folder / EDITED, fps=result.times, sound=result.sound)
    except SoundLost as lost:
        video = result.prepared.spec.video
        finding = sound_lost(video.path, str(lost), video.span_of("path"))
        result = replace(result, sound=None, warnings=(*result.warnings, finding))
        return _save_edited(result, folder)
    return result


def as_run(result: EditResult, folder: Path, manifest: dict[str, Any]) -> Run:
    """Convert a result to the run that will be read from ``folder``."""
    plan = result.prepared.plan
    return Run(
        folder=folder,
        variant=result.prepared.variant,
        target=plan.target,
        source=result.source,
        edited=result.edited,
        edited_FHW=result.prepared.bound.crop.unpadded(free_pixels(plan)),
        plan=plan,
        manifest=manifest,
        times=result.times,
        crop=result.prepared.bound.crop,
    )


def finished_run(folder: Path, run_key: str) -> Frames | None:
    """Return the edited frames of a run's folder if it is complete and has this key, else None."""
    try:
        if missing_file(folder) or read_manifest(folder).get("run_key") != run_key:
            return None
        return read_run(folder).edited
    except (GrainError, OSError, ValueError):
        return None


def save_comparison(results: Sequence[EditResult], folder: Path) -> None:
    """Write ``variants.png``, ``variants.mp4`` and ``variants.html``, which compare variants.

    The runs are already in subfolders with the names of the variants. Raises OSError if a file
    cannot be written.
    """
    source, times = results[0].source, results[0].times
    edited = {str(result.prepared.variant): result.edited for result in results}
    with whole_file(folder / "variants.mp4") as partial:
        clips = side_by_side(source, *edited.values())
        encode_video(clips, partial, fps=times, container="mp4")
    with whole_file(folder / "variants.png") as partial:
        sheet({"source": source, **edited}).save(partial, format="PNG")
    runs = [contents_of(folder / str(result.prepared.variant)) for result in results]
    with whole_file(folder / "variants.html") as partial:
        partial.write_text(report_page(runs), encoding="utf-8", errors="replace")


def overlay_picture(result: EditResult) -> Image.Image:
    """Draw the regions on the first frame, with a legend of their edits."""
    prepared = result.prepared
    layout = prepared.bound.shown
    picture = enlarged(overlay(result.source[:1], layout.at([0])), 384)[0]
    lines = legend(meanings(prepared.spec, layout), picture.shape[1])
    return Image.fromarray(np.concatenate([picture, np.asarray(lines)]))


def manifest_of(result: EditResult, arguments: list[str]) -> dict[str, Any]:
    """Return the manifest of a run, as JSON values."""
    prepared = result.prepared
    facts, method = prepared.bound.facts, prepared.spec.method
    return {
        "spec": prepared.spec.model_dump(mode="json", by_alias=True),
        "variant": prepared.variant,
        "arguments": arguments,
        "base": str(prepared.base.resolve()),
        "model_folder": result.model_folder,
        "seed": prepared.spec.sampler.seed,
        "model": prepared.spec.model,
        "device": result.device,
        "dtype": result.dtype,
        "options": result.options,
        "division": result.division and result.division._asdict(),
        "clip": {
            "path": prepared.spec.video.path,
            "frames": list(prepared.plan.frames),
            "width": facts.width,
            "height": facts.height,
            "fps": facts.fps,
            "edited_size": [prepared.plan.width, prepared.plan.height],
            "sound": result.sound is not None,
        },
        "frame_times": None if result.times.rate else _seconds(result.times),
        "tracked": prepared.tracked.as_json() if prepared.tracked else None,
        "plan": prepared.plan.digest,
        "process": prepared.process,
        "method": method.resolved if method else None,
        "modulates": prepared.modulates,
        "denoiser_passes": denoiser_passes(prepared),
        "windows": len(prepared.windows),
        "timesteps": prepared.timesteps,
        "run_key": result.run_key,
        "resumed_at_step": result.resumed_at or None,
        "inversion_cached": result.inversion_cached,
        "reconstruction": _reconstruction_of(result),
        "seconds": result.seconds,
        "peak_memory_bytes": result.peak_memory_bytes,
        "warnings": [warning.as_json() for warning in result.warnings],
        "versions": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            **{name: _version(name) for name in _PACKAGES},
        },
    }


def _seconds(times: FrameTimes) -> list[float]:
    """Return when each frame begins, and when the last one ends, in seconds."""
    return [round(float(time), 6) for time in (*times.starts, times.end)]


def _reconstruction_of(result: EditResult) -> dict[str, float | None] | None:
    back = result.reconstruction
    if back is None:
        return None
    values = {"psnr": back.psnr, "vae_psnr": back.vae_psnr}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

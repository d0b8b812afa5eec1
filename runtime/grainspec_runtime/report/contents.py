"""The contents of a report, read from a run's folder as plain values for the page template."""

from __future__ import annotations

import base64
import contextlib
import json
import math
from dataclasses import dataclass, field
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeGuard

from PIL import Image

from grainspec.model.settings.method import OwnScope, own_scope
from grainspec.plan.facts import facts
from grainspec.plan.mask_plan import MaskPlan
from grainspec.regular_file import TooLarge, read_bytes
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.media.encode import encode_video
from grainspec_runtime.media.times import FrameTimes
from grainspec_runtime.report.method import method
from grainspec_runtime.report.tracked import tracked_rows
from grainspec_runtime.runs.read import Measured, Run, read_measures, read_run
from grainspec_runtime.study.save import ATTENTION_PICTURE, ATTENTION_VIDEO, SEGMENTS, read_study
from grainspec_runtime.views.dense import dense_pictures
from grainspec_runtime.views.levels import at_level
from grainspec_runtime.views.overlay import overlay
from grainspec_runtime.views.sheet import enlarged

_LEAST = 288
"""Small clips are enlarged to this height, because H.264 halves the resolution of colour."""
_QUALITY = 19
_LARGEST = 50_000_000
"""Larger images and clips in a run's folder, in bytes, are not embedded."""
_LONGEST_SPEC = 1_000_000
"""A longer spec, in bytes, is not shown."""

_MORE_CLIPS = {
    "controls.mp4": "Control images",
    "reconstruction.mp4": "Source and its reconstruction",
}

Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class MediaItem:
    """An image or a clip as a data URI, with its title and a note."""

    title: str
    uri: str
    note: str = ""


@dataclass(frozen=True)
class EditRow:
    """An edit: the index of its colour, its description and its phrase."""

    colour: int
    what: str
    phrase: str


@dataclass
class ReportedRun:
    """Everything that a report shows about one run."""

    name: str
    variant: str | None
    target: str
    summary: Rows
    clips: list[MediaItem]
    edits: list[EditRow]
    warnings: list[dict[str, str]] = field(default_factory=list)
    measures: list[Measured] = field(default_factory=list)
    study: list[dict[str, Any]] = field(default_factory=list)
    study_clips: list[MediaItem] = field(default_factory=list)
    study_pictures: list[MediaItem] = field(default_factory=list)
    facts: dict[str, Any] | None = None
    pictures: list[MediaItem] = field(default_factory=list)
    pairs: list[MediaItem] = field(default_factory=list)
    settings: list[tuple[str, Rows]] = field(default_factory=list)
    spec: str = ""


def contents_of(folder: Path, run: Run | None = None) -> ReportedRun:
    """Read a report's contents from a run's folder; ``run`` is the same run if already read.

    Raises GrainError: G317 if the run is incomplete, or the code of a fault in the source clip.
    """
    run = run or read_run(folder)
    plan, manifest = run.plan, run.manifest
    contents = ReportedRun(
        name=run.folder.resolve().name,
        variant=run.variant,
        target=run.target,
        summary=_summary(plan, manifest, run.times),
        clips=[*_clips(run), *_pictures(folder, _MORE_CLIPS)],
        edits=[
            EditRow(
                index % 8,
                " ".join(filter(None, [edit.verb, edit.grain, edit.region]))
                + (f" of {edit.owner}" if edit.owner else ""),
                edit.phrase,
            )
            for index, edit in enumerate(plan.edits)
        ],
        warnings=_warnings(manifest),
        measures=read_measures(folder),
        study=read_study(folder),
        settings=_settings(plan, manifest),
        spec=_spec_text(folder),
        pictures=_pictures(folder, {"overview.png": "Frames over the clip"}),
    )
    if contents.study:
        contents.study_clips = _pictures(
            folder, {ATTENTION_VIDEO: "Cross-attention to each edit's phrase, with modulation"}
        )
        contents.study_pictures = _pictures(
            folder,
            {
                ATTENTION_PICTURE: "Cross-attention to each edit's phrase, without and with "
                "modulation",
                SEGMENTS: "Self-attention features: k-means with 3, 4 and 5 clusters, and the "
                "first three principal components as colours",
            },
        )
    timesteps = _timesteps(manifest)
    if timesteps:
        modulates = manifest.get("modulates") is not False
        scope = _scope(manifest)
        contents.facts = facts(plan, timesteps=timesteps, modulates=modulates, scope=scope)
        drawn = dense_pictures(plan, timesteps[0], words_only=scope is not None)
        contents.pairs = [
            MediaItem(f"Level {index}", _picture_uri(picture))
            for index, picture in (drawn if modulates else {}).items()
        ]
    return contents


def _clips(run: Run) -> list[MediaItem]:
    marked = overlay(run.source, at_level(run.plan, run.plan.levels[0]).inside(run.crop.inside))
    return [
        MediaItem("Source", _clip_uri(run.source, run.times)),
        MediaItem("Edit", _clip_uri(run.edited, run.times)),
        MediaItem("Regions", _clip_uri(marked, run.times), "at the model's finest attention level"),
    ]


def _summary(plan: MaskPlan, manifest: dict[str, Any], times: FrameTimes) -> Rows:
    seconds = manifest.get("seconds")
    stages = seconds.values() if isinstance(seconds, dict) else ()
    took = sum(filter(_is_number, stages))
    rate = f"{times.fps:.3g} fps" + ("" if times.rate else " on average, varying")
    rows = [
        ("Model", _text(manifest.get("model"))),
        ("Clip", f"{len(plan.frames)} frames, {plan.width} × {plan.height}, {rate}"),
        ("Device", " ".join(_text(manifest.get(name)) for name in ("device", "dtype"))),
        ("Processes", _division(manifest.get("division"))),
        ("Time", f"{took:.0f} s" if took else ""),
    ]
    memory = manifest.get("peak_memory_bytes")
    if _is_number(memory):
        rows.append(("Peak memory", f"{memory / 1e9:.2f} GB"))
    if _is_number(manifest.get("resumed_at_step")):
        rows.append(("Resumed", f"after step {manifest['resumed_at_step']} of an interrupted run"))
    return [(name, value) for name, value in rows if value.strip()]


def _settings(plan: MaskPlan, manifest: dict[str, Any]) -> list[tuple[str, Rows]]:
    spec = manifest["spec"]
    groups: dict[str, Any] = {
        "Prompts": {name: spec.get(name) for name in ("source", "target", "negative")},
        "Method": method(manifest, len(_timesteps(manifest))),
        "Sampler": spec.get("sampler"),
        "Attention": _attention(plan, _scope(manifest)),
        "Blend": spec.get("blend"),
        "Flow": spec.get("flow"),
        "Injection": spec.get("inject"),
        "FreeU": spec.get("freeu"),
        "Settings of the method": manifest.get("method") or spec.get("method"),
        "Controls": {
            str(i): control for i, control in enumerate(spec.get("controls") or [], start=1)
        },
        "Clip": manifest.get("clip"),
        "Tracked regions": tracked_rows(manifest.get("tracked")),
        "Run": {
            name: manifest.get(name)
            for name in ("arguments", "base", "model_folder", "seed", "plan", "run_key")
        },
        "Seconds": manifest.get("seconds"),
        "Versions": manifest.get("versions"),
    }
    return [
        (title, [(str(name), _text(value)) for name, value in group.items() if value is not None])
        for title, group in groups.items()
        if isinstance(group, dict) and group
    ]


def _scope(manifest: dict[str, Any]) -> OwnScope | None:
    """The frames that the method related itself, from a manifest whose values may be anything."""
    windows = manifest.get("windows")
    return own_scope(_text(manifest.get("process")), windows if isinstance(windows, int) else 1)


def _attention(plan: MaskPlan, scope: OwnScope | None) -> dict[str, Any]:
    """The settings of attention, with what the method chose itself in their place."""
    settings: dict[str, Any] = plan.attention.model_dump(mode="json", by_alias=True)
    if scope:
        settings |= {name: value for name, value in scope._asdict().items() if value}
    return settings


def _warnings(manifest: dict[str, Any]) -> list[dict[str, str]]:
    warnings = manifest.get("warnings")
    return [
        {name: _text(warning.get(name)) for name in ("code", "message", "cure")}
        for warning in (warnings if isinstance(warnings, list) else [])
        if isinstance(warning, dict)
    ]


def _timesteps(manifest: dict[str, Any]) -> list[float]:
    values = manifest.get("timesteps")
    valid = isinstance(values, list) and len(values) <= 10_000 and all(map(_is_number, values))
    return [float(value) for value in values] if valid and values else []


def _spec_text(folder: Path) -> str:
    for name in ("spec.grain", "spec.json"):
        path = folder / name
        with contextlib.suppress(OSError, TooLarge):
            return read_bytes(path, _LONGEST_SPEC).decode("utf-8", "replace")
    return ""


def _division(value: object) -> str:
    """Format how processes shared a clip: ``passes 2, ulysses 4``, without what was not divided."""
    items = reversed(value.items()) if isinstance(value, dict) else ()
    return ", ".join(f"{name} {_text(number)}" for name, number in items if number != 1)


def _text(value: object) -> str:
    """Format a JSON value for reading."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, (str, int, float)) for item in value):
        numbers = [item for item in value if isinstance(item, int)]
        step = numbers[1] - numbers[0] if len(numbers) == len(value) > 4 else 0
        if step > 0 and all(later - earlier == step for earlier, later in pairwise(numbers)):
            return f"{numbers[0]} to {numbers[-1]}" + (f" by {step}" if step > 1 else "")
        return " ".join(map(str, value))
    return json.dumps(value, ensure_ascii=False)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _pictures(folder: Path, named: dict[str, str]) -> list[MediaItem]:
    """Embed the named files that exist, match the format of their suffix and are not too large."""
    shown = []
    for name, title in named.items():
        path = folder / name
        with contextlib.suppress(OSError, TooLarge):
            content = read_bytes(path, _LARGEST)
            kind = "video/mp4" if name.endswith(".mp4") else "image/png"
            if content[:8] == b"\x89PNG\r\n\x1a\n" or content[4:8] == b"ftyp":
                shown.append(MediaItem(title, _uri(content, kind)))
    return shown


def _clip_uri(frames: Frames, times: FrameTimes) -> str:
    buffer = BytesIO()
    encode_video(enlarged(frames, _LEAST), buffer, fps=times, crf=_QUALITY, container="mp4")
    return _uri(buffer.getvalue(), "video/mp4")


def _picture_uri(picture: Image.Image) -> str:
    buffer = BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return _uri(buffer.getvalue(), "image/png")


def _uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"

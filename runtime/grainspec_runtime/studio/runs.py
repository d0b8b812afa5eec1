"""Earlier runs: what `grain run` wrote below `runs`, and single frames of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeGuard

import numpy as np
from PIL import Image

from grainspec.clip.crop import FrameCrop, frame_crop
from grainspec.diagnostics import GrainError, fail
from grainspec.model.spec import EditSpec, Size
from grainspec.regular_file import files_in, regular
from grainspec_runtime.runs.read import EDITED, MANIFEST, PLAN, REPORT, read_manifest, spec_of
from grainspec_runtime.studio.frames import FrameStore, state_of
from grainspec_runtime.studio.kept import Kept
from grainspec_runtime.studio.readable import Readable
from grainspec_runtime.studio.regions import box_of
from grainspec_runtime.whole_folder import is_left_over

RUNS = "runs"
Of = Literal["edited", "source", "difference"]
_GAIN = 4
"""By which differences are multiplied, so that they are seen."""
_MOST = 500
_KEPT = 200


@dataclass(frozen=True)
class EarlierRun:
    """A run's folder, and what its manifest says."""

    name: str
    folder: Path
    made: float
    manifest: dict[str, Any]
    spec: EditSpec
    base: Path
    variant: str | None
    frames: tuple[int, ...]
    crop: FrameCrop
    size: tuple[int, int]
    fps: float

    @classmethod
    def read(cls, name: str, folder: Path) -> EarlierRun:
        """Read a run's manifest; raises GrainError (G317) if it is not valid."""
        manifest = read_manifest(folder)
        spec, base, variant = spec_of(folder, manifest)
        try:
            clip = manifest["clip"]
            frames = tuple(int(frame) for frame in clip["frames"])
            wide, high = (int(side) for side in clip["edited_size"])
            facts = _Facts(int(clip["width"]), int(clip["height"]), float(clip["fps"]))
            crop = frame_crop(spec.video, facts, Size(width=wide, height=high))  # type: ignore[arg-type]
            made = (folder / MANIFEST).stat().st_mtime
        except (KeyError, TypeError, ValueError, OSError, ArithmeticError) as error:
            message = f"{folder / MANIFEST} is not a valid manifest"
            raise fail("G317", message, "Run its spec again.") from error
        size = facts.width, facts.height
        return cls(name, folder, made, manifest, spec, base, variant, frames, crop, size, facts.fps)

    def as_json(self) -> dict[str, Any]:
        """The run as the page has it, but for what other runs are needed for."""
        seconds = self.manifest.get("seconds")
        numbers = seconds.values() if isinstance(seconds, dict) else ()
        total = sum(one for one in numbers if isinstance(one, int | float))
        there = all(regular(self.folder / file) for file in (EDITED, PLAN))
        told = self.manifest.get("warnings")
        found = told if _are_objects(told) else []
        return {
            "name": self.name,
            "variant": self.variant,
            "made": self.made,
            "seconds": round(total, 1),
            "passes": self._passes(),
            "warnings": [_words(one) for one in found if "message" in one],
            "complete": there,
            "frames": list(self.frames),
            "box": box_of(self.crop, *self.size),
            "width": self.crop.width,
            "height": self.crop.height,
            "fps": self.fps,
            "target": self.spec.target,
            "report": regular(self.folder / REPORT),
            "difference_gain": _GAIN,
        }

    def _passes(self) -> int | None:
        """Passes through the denoiser in these seconds; None for a run that was resumed."""
        passes = self.manifest.get("denoiser_passes")
        whole = not self.manifest.get("resumed_at_step")
        return passes if whole and isinstance(passes, int) and passes > 0 else None


@dataclass(frozen=True)
class _Facts:
    """What a manifest says of its clip, as far as a crop depends on it."""

    width: int
    height: int
    fps: float


class EarlierRuns:
    """The runs in the folder of a spec."""

    def __init__(self, readable: Readable, frames: FrameStore) -> None:
        self._readable, self._frames = readable, frames
        self._runs: Kept[EarlierRun] = Kept(_KEPT)

    def all(self) -> list[EarlierRun]:
        """All runs whose manifests can be read, the newest first."""
        folder = self._readable.folder / RUNS
        found = []
        for place in _folders(folder):
            for run in (place, *_folders(place)):
                name = run.relative_to(folder).as_posix()
                try:
                    found.append(self.named(name))
                except GrainError:  # no run, or one that cannot be read
                    continue
        return sorted(found, key=lambda run: run.made, reverse=True)[:_MOST]

    def named(self, name: str) -> EarlierRun:
        """A run by its name, such as ``wolf/husky``.

        Raises GrainError: G727 if there is none, G723 for other paths, G317 if it is not valid.
        """
        folder = self._readable.named(f"{RUNS}/{name}")
        if not regular(folder / MANIFEST):
            raise fail("G727", "there is no such run", "Reload the page.")
        state = state_of(folder / MANIFEST)
        return self._runs.made(state, lambda: EarlierRun.read(name, folder))

    def report(self, name: str) -> Path:
        """The file of a run's report; raises GrainError as :meth:`named` does."""
        path = self.named(name).folder / REPORT
        self._readable.require(path)
        if not regular(path):
            raise fail("G727", "this run has no report", "Write it: `grain report RUN`.")
        return path

    def png(self, name: str, frame: int, of: Of) -> bytes:
        """A frame of a run as PNG, the edited part without padding; raises GrainError."""
        run = self.named(name)
        edited = run.folder / EDITED
        if frame not in run.frames:
            raise fail("G727", f"the run has no frame {frame}", "Choose one of its frames.")
        self._readable.require(edited)
        key = ("run", of, frame, state_of(edited), state_of(run.folder / MANIFEST))
        return self._frames.png(key, lambda: self._picture(run, frame, of))

    def _picture(self, run: EarlierRun, frame: int, of: Of) -> Image.Image:
        if of == "edited":
            return self._edited(run, frame)
        clip = run.base / run.spec.video.path
        self._readable.require(clip)
        whole = self._frames.frame(clip, frame, run.spec.video.alpha)
        source = run.crop.unpadded(np.asarray(run.crop.frame(whole))[None])[0]
        if of == "source":
            return Image.fromarray(source)
        edited = np.asarray(self._edited(run, frame)).astype(np.int16)
        if edited.shape != source.shape:
            raise fail("G317", "the run does not match its manifest", "Run its spec again.")
        return Image.fromarray(np.clip(abs(edited - source) * _GAIN, 0, 255).astype(np.uint8))

    def _edited(self, run: EarlierRun, frame: int) -> Image.Image:
        return self._frames.frame(run.folder / EDITED, run.frames.index(frame))


def _words(warning: dict[str, Any]) -> dict[str, str]:
    """What a warning of a manifest says, which anyone may have written."""
    return {name: str(warning.get(name) or "") for name in ("code", "message", "cure")}


def _are_objects(value: object) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder that may be runs; none if it cannot be read."""
    try:
        return [
            path
            for path in files_in(folder)
            if path.is_dir() and not path.name.startswith(".") and not is_left_over(path)
        ]
    except (OSError, ValueError):
        return []

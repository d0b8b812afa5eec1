"""Repeat a run from its folder: ``grain run --again``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grainspec.diagnostics import fail
from grainspec.loading import read_text
from grainspec_runtime.commands.loading import LoadingArguments
from grainspec_runtime.commands.spec_file import SpecFile
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.prepare import Prepared
from grainspec_runtime.runs.read import read_manifest, read_run, runs_in, spec_of

if TYPE_CHECKING:
    from grainspec_runtime.modulation.part import Division
    from grainspec_runtime.ranks import WindowDivision


@dataclass(frozen=True)
class EarlierRun:
    """A run that is to be repeated: its folder, its manifest, and its spec with all overrides."""

    folder: Path
    manifest: dict[str, Any]
    file: SpecFile

    @classmethod
    def read(cls, folder: Path, sets: Sequence[str] = ()) -> EarlierRun:
        """Read a run's folder; ``sets`` are further overrides.

        Raises GrainError (G317) if it is not the folder of one run.
        """
        folders = runs_in(folder)
        if len(folders) > 1 or folders[0] != folder:
            names = " or ".join(f"`{place}`" for place in folders[:3])
            message = f"{folder} has {len(folders)} runs, of variants"
            raise fail("G317", message, f"Name one of them: {names}.")
        manifest = read_manifest(folder)
        spec, base, _ = spec_of(folder, manifest)
        written = folder / "spec.grain"
        written = written if written.is_file() else folder / "spec.json"
        file = SpecFile(written, read_text(written), spec, tuple(sets), folder=base)
        return cls(folder, manifest, file)

    def loading(self, arguments: LoadingArguments) -> LoadingArguments:
        """The options of the run, where the command line gives none."""
        options = self.manifest.get("options")
        options = options if isinstance(options, dict) else {}
        recorded: dict[str, Any] = {
            name: options[name]
            for name in ("offload", "vae_slicing", "vae_tiling", "compile")
            if name in options
        }
        recorded["dtype"] = self.manifest.get("dtype")
        recorded["loras"] = tuple(f"{e['path']}:{e['scale']}" for e in options.get("loras", ()))
        recorded["embeddings"] = tuple(
            f"{e['word']}={e['path']}" if e.get("word") else str(e["path"])
            for e in options.get("embeddings", ())
        )
        given = {name: value for name, value in arguments.arguments.items() if value}
        return LoadingArguments({**arguments.arguments, **recorded, **given})

    def compared(self, prepared: Prepared) -> Prepared:
        """The same, with a warning (G367) if tracked masks are not those of the run."""
        if prepared.tracked is None:
            return prepared
        finding = prepared.tracked.unlike(self.manifest.get("tracked"))
        return replace(prepared, warnings=(*prepared.warnings, *([finding] if finding else [])))

    def verdict(self, edited: Frames, division: Division | WindowDivision | None) -> str:
        """A sentence that compares an edit with the run's; ``division`` is that of the edit."""
        before = read_run(self.folder).edited
        if before.shape == edited.shape and np.array_equal(before, edited):
            return f"the edit is bit-identical to that of {self.folder}"
        said = f"the edit differs from that of {self.folder}"
        of_run = self.manifest.get("division")
        if of_run == (division and division._asdict()):
            return said
        return f"{said}, which was made {_how(of_run)}; a clip's division changes rounding"


def _how(division: Any) -> str:
    """The options that divide a clip as a manifest says."""
    if not isinstance(division, dict):
        return "without `--gpus`"
    if "windows" in division:
        return f"with `--gpus {division['processes']}`"
    passes, ulysses, ring = (int(division[name]) for name in ("passes", "ulysses", "ring"))
    how = " --parallel guidance" if passes > 1 else " --parallel ring" if ulysses == 1 else ""
    return f"with `--gpus {passes * ulysses * ring}{how}`"

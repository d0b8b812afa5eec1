"""Specs in a folder: each is an edit, and so is each variant."""

from __future__ import annotations

from pathlib import Path

from grainspec.diagnostics import GrainError
from grainspec.loading import load
from grainspec_runtime.bench.methods import failure_of
from grainspec_runtime.bench.own.layouts import ClipEdit, Found

_PATTERNS = ("*.grain", "*/*.grain", "*.grain.json", "*/*.grain.json")


class Specs:
    """Specs of the `.grain` language or their JSON form, in the folder or one level below."""

    name = "specs (`*.grain`, `*.grain.json`)"

    def find(self, folder: Path) -> Found | None:
        """Read all specs; one with an error is left out."""
        paths = sorted({path for pattern in _PATTERNS for path in folder.glob(pattern)})
        if not paths:
            return None
        edits: list[ClipEdit] = []
        left_out: dict[str, str] = {}
        for path in paths:
            name = path.relative_to(folder).as_posix().removesuffix(".json").removesuffix(".grain")
            try:
                spec = load(path)
            except GrainError as error:
                left_out[name] = failure_of(error)
                continue
            if spec.target:
                edits.append(ClipEdit(name, spec.without_variants(), path.parent, is_written=True))
            edits += [
                ClipEdit(
                    f"{name}-{it.name}", spec.as_variant(it.name), path.parent, is_written=True
                )
                for it in spec.variants
            ]
        return Found(self.name, edits, left_out)

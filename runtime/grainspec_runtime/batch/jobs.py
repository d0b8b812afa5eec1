"""The jobs of a batch: one edit each, from specs, their variants, grids of settings, and tables."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from grainspec.diagnostics import GrainError, fail
from grainspec.loading import read_text, spec_of
from grainspec.model.spec import EditSpec
from grainspec.text.override import override
from grainspec_runtime.batch.table import Row

_UNSAFE = re.compile(r"[^A-Za-z0-9_.]+")
_LONGEST_STEM = 60


@dataclass(frozen=True, slots=True)
class BatchJob:
    """One edit of a batch.

    name: of its folder in the batch's ``runs``. digest: identifies what it asks for. spec: the
    absolute path of its spec. base: where its relative paths start, a folder or a URL. clip: what
    takes the place of the spec's clip, absolute or a URL; None for its own. sets: overrides.
    text: of the spec when the batch began, which all machines and attempts use; None if it could
    not be read. spec_sha256: of the spec's file then.
    """

    name: str
    digest: str
    spec: Path
    base: str
    clip: str | None
    variant: str | None
    sets: tuple[str, ...]
    text: str | None = field(default=None, repr=False)
    spec_sha256: str = ""

    @property
    def whole(self) -> EditSpec:
        """The spec with its variants, of the job's clip; raises GrainError if it is invalid."""
        if self.text is None:
            read_text(self.spec)  # which says why
            message = f"{self.spec} could not be read when the batch began"
            raise fail("G311", message, "Give the same command again.")
        whole = _parsed(self.text, self.spec)
        if self.clip is None:
            return whole
        return whole.replaced({}, video=whole.video.replaced({}, path=self.clip))

    @property
    def chosen(self) -> EditSpec:
        """The spec of the job's variant, with its overrides."""
        whole = self.whole
        chosen = whole.as_variant(self.variant) if self.variant else whole.without_variants()
        return override(chosen, self.sets)

    @property
    def arguments(self) -> list[str]:
        """The arguments of `grain` that make the same edit, if the clip is the spec's own."""
        named = ["--variant", self.variant] if self.variant else []
        return ["run", str(self.spec), *named, *(f"--set={value}" for value in self.sets)]


@lru_cache(maxsize=64)
def _parsed(text: str, path: Path) -> EditSpec:
    return spec_of(text, path)


@lru_cache(maxsize=64)
def _read(path: Path, changed: int) -> tuple[str | None, str]:
    """Return a spec's text and the SHA-256 of its file; None and "" if it cannot be read."""
    with contextlib.suppress(GrainError, OSError):
        text = read_text(path)
        return text, hashlib.sha256(path.read_bytes()).hexdigest()
    return None, ""


def _read_once(path: Path) -> tuple[str | None, str]:
    """Read a spec as :func:`_read` does, anew when the file has changed."""
    return _read(path, path.stat().st_mtime_ns if path.exists() else 0)


@dataclass(frozen=True)
class Sharing:
    """What all jobs of a batch have in common.

    variants: the variants to run; None for all that a spec has, or the spec if it has none.
    sets: overrides. grid: values of settings, all of whose combinations are made.
    loading: the options that models are loaded with, as JSON values.
    """

    variants: tuple[str, ...] | None = None
    sets: tuple[str, ...] = ()
    grid: Mapping[str, tuple[str, ...]] | None = None
    loading: Mapping[str, object] | None = None

    @property
    def combinations(self) -> list[tuple[str, ...]]:
        """The overrides of each combination of the grid; one without any if there is no grid."""
        grid = self.grid or {}
        named = ([f"{name}={value}" for value in values] for name, values in grid.items())
        return [(*self.sets, *chosen) for chosen in itertools.product(*named)]


def jobs_of_specs(specs: Sequence[Path], sharing: Sharing) -> Iterator[BatchJob]:
    """Make the jobs of specs: each variant with each combination of the grid.

    Raises GrainError for a spec that cannot be read, or that lacks a variant that is asked for.
    """
    for path in specs:
        spec = path.absolute()
        whole = spec_of(read_text(spec), spec)
        for variant in _variants(whole, sharing.variants, path):
            for sets in sharing.combinations:
                yield _job(spec, str(spec.parent), None, variant, sets, sharing)


def jobs_of_table(rows: Iterable[Row], sharing: Sharing) -> Iterator[BatchJob]:
    """Make the jobs of a table's rows; a row without a variant is for all that are asked for.

    A spec that cannot be read is reported by its jobs, which are set aside. Raises GrainError
    (G740) if a row names no spec, or has a value for a setting of the grid.
    """
    for row in rows:
        for name in sharing.grid or ():
            if any(value.partition("=")[0].strip() == name for value in row.sets):
                message = f"`{name}` is in the grid and in the table"
                raise fail("G740", message, f"Leave out `--grid {name}=…`, or the column.")
        for variant in _variants_of_row(row, sharing):
            for sets in sharing.combinations:
                both = (*sets, *row.sets)
                yield _job(row.spec, row.base, row.clip, variant, both, sharing)


def _variants(whole: EditSpec, asked: tuple[str, ...] | None, path: Path) -> Sequence[str | None]:
    if asked is None:
        return whole.variant_names or [None]
    if not asked:
        return [None]
    for name in asked:
        if name not in whole.variant_names:
            message = f"{path} has no variant `{name}`"
            names = ", ".join(f"`{known}`" for known in whole.variant_names) or "none"
            raise fail("G740", message, f"Its variants: {names}. Write `--variant NAME`.")
    return asked


def _variants_of_row(row: Row, sharing: Sharing) -> Sequence[str | None]:
    if row.variant is not None:
        return [row.variant]
    if sharing.variants is not None:
        return sharing.variants or [None]
    text, _ = _read_once(row.spec)
    try:
        return [None] if text is None else _parsed(text, row.spec).variant_names or [None]
    except GrainError:  # which the job itself will report
        return [None]


def _job(
    spec: Path,
    base: str,
    clip: str | None,
    variant: str | None,
    sets: tuple[str, ...],
    sharing: Sharing,
) -> BatchJob:
    text, spec_sha256 = _read_once(spec)
    facts = [spec_sha256, str(spec), base, clip, variant, sets]
    told = json.dumps([*facts, sharing.loading], sort_keys=True, default=str)
    digest = hashlib.sha256(told.encode()).hexdigest()
    stem = Path(clip).stem if clip and Path(clip).stem != spec.stem else ""
    words = [spec.stem, stem, variant or ""]
    name = "-".join(_UNSAFE.sub("_", word) for word in words if word)[:_LONGEST_STEM]
    name = f"{name}-{digest[:10]}"
    return BatchJob(name, digest, spec, base, clip, variant, sets, text, spec_sha256)

"""The jobs of a batch: one edit each, from specs, their variants, grids of settings, and tables."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

from grainspec.diagnostics import Diagnostic, GrainError, fail
from grainspec.model.spec import EditSpec
from grainspec.remote.address import is_url, path_of, shown
from grainspec.text.override import override
from grainspec_runtime.batch.spec_texts import SpecText, SpecTexts
from grainspec_runtime.batch.table import Row, folder_of, normal

_CLIP = "video.path"
"""The override that stands for a table's column `clip`."""
_UNSAFE = re.compile(r"[^A-Za-z0-9_.]+")
_LONGEST_STEM = 60
_ALL = "all"
"""As for the option `--variant`; no variant can have this name."""


@dataclass(frozen=True, slots=True)
class BatchJob:
    """One edit of a batch.

    name: of its folder in the batch's ``runs``. digest: identifies what it asks for. spec: the
    absolute path of its spec, or its URL. base: where its relative paths start, a folder or a URL.
    clip: what takes the place of the spec's clip, absolute or a URL; None for its own. sets:
    overrides. content: the spec's text when the batch began. row: the place of its row in a table,
    such as ``jobs.csv, line 3``; columns: the overrides that are of the row.
    """

    name: str
    digest: str
    spec: Path | str
    base: str
    clip: str | None
    variant: str | None
    sets: tuple[str, ...]
    content: SpecText = field(default_factory=SpecText)
    row: str = field(default="", compare=False)
    columns: tuple[str, ...] = field(default=(), compare=False)

    @property
    def whole(self) -> EditSpec:
        """The spec with its variants, of the job's clip; raises GrainError if it is invalid."""
        return override(self.content.parsed(self.spec), _set_clip(self.clip))

    @property
    def chosen(self) -> EditSpec:
        """The spec of the job's variant, with its overrides."""
        whole = self.whole
        chosen = whole.as_variant(self.variant) if self.variant else whole.without_variants()
        return override(chosen, self.sets)

    @property
    def file(self) -> str:
        """The name of the spec's file."""
        return _file(self.spec).name

    @property
    def arguments(self) -> list[str]:
        """The arguments of `grain` that make the same edit.

        If the paths of its spec start at another folder, standard input is to be the spec's text,
        which a run's folder has. `grain run` takes no clip behind a URL, and no base of a store.
        """
        spec = [shown(str(self.spec))]
        if self.base != folder_of(self.spec) and not is_url(self.base):
            spec = ["--stdin", str(Path(self.base) / self.file)]
        named = ["--variant", self.variant] if self.variant else []
        sets = (*_set_clip(self.clip and shown(self.clip)), *self.sets)
        return ["run", *spec, *named, *(f"--set={value}" for value in sets)]

    def place_of(self, setting: str) -> str | None:
        """Return the cell of a table that an override is from; None if it is from none."""
        if setting in self.columns:
            return f"{self.row}, column `{setting_name(setting)}`"
        if self.clip is not None and setting_name(setting) == _CLIP:
            return f"{self.row}, column `clip`" if self.row else None
        return None


def _set_clip(clip: str | None) -> tuple[str, ...]:
    return () if clip is None else (f"{_CLIP}={clip}",)


def setting_name(setting: str) -> str:
    """Return the name of an override ``NAME=VALUE``."""
    return setting.partition("=")[0].strip()


def _file(spec: Path | str) -> PurePath:
    return path_of(spec) if isinstance(spec, str) else spec


@dataclass(frozen=True)
class Sharing:
    """What all jobs of a batch have in common.

    variants: the variants to run; None for all that a spec has, or the spec if it has none.
    sets: overrides. grid: values of settings, all of whose combinations are made.
    loading: the options that models are loaded with, as JSON values. specs: the texts of specs.
    """

    variants: tuple[str, ...] | None = None
    sets: tuple[str, ...] = ()
    grid: Mapping[str, tuple[str, ...]] | None = None
    loading: Mapping[str, object] | None = None
    specs: SpecTexts = field(default_factory=SpecTexts, repr=False, compare=False)

    @property
    def combinations(self) -> list[tuple[str, ...]]:
        """The overrides of each combination of the grid; one without any if there is no grid."""
        grid = self.grid or {}
        named = ([f"{name}={value}" for value in values] for name, values in grid.items())
        return [(*self.sets, *chosen) for chosen in itertools.product(*named)]


def jobs_of_specs(specs: Sequence[Path | str], sharing: Sharing) -> Iterator[BatchJob]:
    """Make the jobs of specs, paths or URLs: each variant with each combination of the grid.

    Raises GrainError for a spec that cannot be read, or that lacks a variant that is asked for.
    """
    for path in specs:
        spec = path if isinstance(path, str) else normal(path)
        whole = sharing.specs.of(spec).parsed(spec)
        for variant in _variants(whole, sharing.variants, shown(str(path))):
            for sets in sharing.combinations:
                yield _job(spec, folder_of(spec), None, variant, sets, sharing)


def jobs_of_table(rows: Iterable[Row], sharing: Sharing) -> Iterator[BatchJob]:
    """Make the jobs of a table's rows; a row without a variant is for all that are asked for.

    A spec that cannot be read is reported by its jobs, which are set aside. Raises GrainError
    (G740) if a row names no spec, or has a value for a setting that an option has, too.
    """
    for row in rows:
        _require_single_values(row, sharing)
        for variant in _variants_of_row(row, sharing):
            for sets in sharing.combinations:
                both = (*sets, *row.sets)
                job = _job(row.spec, row.base, row.clip, variant, both, sharing)
                yield replace(job, row=row.place, columns=row.sets)


def _require_single_values(row: Row, sharing: Sharing) -> None:
    columns = {setting_name(setting): setting_name(setting) for setting in row.sets}
    if row.clip is not None:
        if _CLIP in columns:
            message = f"{row.place} has values of both `clip` and `{_CLIP}`"
            raise fail("G740", message, "Leave one of the two out.")
        columns[_CLIP] = "clip"
    for name in sharing.grid or ():
        if name in columns:
            message = f"`{name}` is in the grid and in the table"
            cure = f"Leave out `--grid {name}=…`, or the column `{columns[name]}`."
            raise fail("G740", message, cure)
    for setting in sharing.sets:
        name = setting_name(setting)
        if name in columns:
            message = f"`{name}` is given by `--set` and in the table"
            cure = f"Leave out `--set {setting}`, or the column `{columns[name]}`."
            raise fail("G740", message, cure)


def _variants(whole: EditSpec, asked: tuple[str, ...] | None, path: str) -> Sequence[str | None]:
    if asked is None:
        return whole.variant_names or [None]
    if not asked:
        return [None]
    for name in asked:
        if name not in whole.variant_names:
            raise GrainError([unknown_variant(whole, path, name)])
    return asked


def unknown_variant(whole: EditSpec, file: str, name: str) -> Diagnostic:
    """Return the error (G740) about a variant that a spec lacks."""
    names = ", ".join(f"`{known}`" for known in whole.variant_names)
    cure = f"Name one of its variants: {names}." if names else "It has no variants: name none."
    return Diagnostic("G740", f"{file} has no variant `{name}`", cure)


def variants_named(text: str) -> tuple[str, ...] | None:
    """Return the variants of an option or cell, each once; None for all that the spec has.

    >>> variants_named("left, swapped"), variants_named("all")
    (('left', 'swapped'), None)
    """
    names = dict.fromkeys(filter(None, map(str.strip, text.split(","))))
    return None if _ALL in names else tuple(names)


def _variants_of_row(row: Row, sharing: Sharing) -> Sequence[str | None]:
    asked = sharing.variants if row.variant is None else variants_named(row.variant)
    if asked is not None:
        return asked or [None]
    try:
        return sharing.specs.of(row.spec).parsed(row.spec).variant_names or [None]
    except GrainError:  # which the job itself will report
        return [None]


def _job(
    spec: Path | str,
    base: str,
    clip: str | None,
    variant: str | None,
    sets: tuple[str, ...],
    sharing: Sharing,
) -> BatchJob:
    content = sharing.specs.of(spec)
    facts = [content.sha256, str(spec), base, clip, variant, sets]
    identity = json.dumps([*facts, sharing.loading], sort_keys=True, default=str)
    digest = hashlib.sha256(identity.encode()).hexdigest()
    stem = _file(spec).stem
    of_clip = (path_of(clip) if is_url(clip) else Path(clip)).stem if clip else ""
    words = [stem, of_clip if of_clip != stem else "", variant or ""]
    name = "-".join(_UNSAFE.sub("_", word) for word in words if word)[:_LONGEST_STEM]
    name = f"{name}-{digest[:10]}"
    return BatchJob(name, digest, spec, base, clip, variant, sets, content)

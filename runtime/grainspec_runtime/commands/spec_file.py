"""Read a spec for the runtime's commands, select a variant, and show its warnings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from grainspec.cache_folder import fetched_files
from grainspec.cli.output import Format, print_findings, say
from grainspec.diagnostics import Diagnostic, GrainError, fail, suggestion, visible
from grainspec.loading import load, read_stdin, read_text, spec_of
from grainspec.model.spec import EditSpec
from grainspec.remote.address import shown
from grainspec.remote.spec_files import fetched_spec
from grainspec.text.override import override
from grainspec_runtime.commands.progress import Shown, progress_line
from grainspec_runtime.models.additions import Embedding
from grainspec_runtime.prepare import (
    Prepared,
    prepare,
    prepare_variants,
    waiting_for_tracks,
)
from grainspec_runtime.tracking.bake import TrackOptions
from grainspec_runtime.tracking.choices import EngineChoice

ALL = "all"

Command = TypeVar("Command", bound=Callable[..., Any])


def set_option(command: Command) -> Command:
    """Add ``--set NAME=VALUE``, which may be repeated, to a command."""
    return click.option(
        "--set",
        "sets",
        metavar="NAME=VALUE",
        multiple=True,
        help="Override a value of the spec: attention.self=0.5, sampler.steps=20, left.weight=2, "
        "…; may be repeated.",
    )(command)


def stdin_option(command: Command) -> Command:
    """Add ``--stdin`` to a command, as its argument ``unsaved``."""
    return click.option(
        "--stdin",
        "unsaved",
        is_flag=True,
        help="Read the text of SPEC from standard input, as an editor has it before it is saved. "
        "Paths start where SPEC is, and what is written has its name.",
    )(command)


def embedding_option(command: Command) -> Command:
    """Add ``--embedding PATH``, which may be repeated, to a command."""
    return click.option(
        "--embedding",
        "embeddings",
        metavar="[WORD=]PATH",
        multiple=True,
        help="Load a textual inversion (safetensors) that prompts use as WORD (default: the word "
        "in the file, otherwise the file's name); may be repeated.",
    )(command)


def variant_option(command: Command) -> Command:
    """Add ``--variant NAME`` to a command."""
    return click.option("--variant", metavar="NAME", help="Use this variant of the spec.")(command)


@dataclass(frozen=True)
class SpecFile:
    """A spec and the file it was read from; paths in the spec are relative to ``base``.

    ``folder`` is where they start if that is not the file's folder, as in a run's. ``url`` is shown
    instead of the path if it is a copy of a remote file.
    """

    path: Path
    text: str
    whole: EditSpec
    sets: tuple[str, ...] = ()
    folder: Path | None = None
    url: str = ""

    @classmethod
    def read(cls, path: Path | str, sets: Sequence[str] = (), *, unsaved: bool = False) -> SpecFile:
        """Read a .grain or .json file; raises GrainError with all of its findings.

        A URL is fetched, with the files that the spec names.

        ``sets`` are overrides ``NAME=VALUE``, as for :func:`grainspec.override`. If ``unsaved``,
        the text is that on standard input.
        """
        if isinstance(path, str):
            if unsaved:
                raise click.UsageError("`--stdin` goes with a path; SPEC is a URL.")
            copy = fetched_spec(path, fetched_files())
            return replace(cls.read(copy, sets), url=shown(path))
        if unsaved:
            text = read_stdin()
            return cls(path, text, spec_of(text, path), tuple(sets))
        if path == Path("-") and not path.exists():
            message = "this command reads its spec from a file, not from standard input"
            raise fail("G311", message, "Write it to a file, such as edit.grain, and name that.")
        return cls(path, read_text(path), load(path), tuple(sets))

    def check_choice(self, *variants: str) -> None:
        """Raise a usage error for an unknown variant, or if the spec requires one to be chosen."""
        for name in variants:
            if name not in self.whole.variant_names:
                cure = suggestion(name, self.whole.variant_names) or "The spec has no variants."
                if name == ALL and self.whole.variants:
                    cure = f"This command takes a single variant. {cure}"
                message = f"unknown variant `{visible(name)}`. {cure}"
                raise click.BadParameter(message, param_hint="--variant")
        if not variants and self.whole.variants and not (self.whole.target and self.whole.changes):
            names = ", ".join(map(visible, self.whole.variant_names))
            message = "this spec has no edit outside its variants."
            raise click.UsageError(f"{message} Choose one with `--variant NAME`: {names}.")

    def prepared(
        self,
        variant: str | None,
        embeddings: Sequence[Embedding] = (),
        *,
        tracking: TrackOptions | None = None,
    ) -> Prepared:
        """Prepare a variant to run, or the spec itself if ``variant`` is None."""
        self.check_choice(*[variant] if variant else [])
        if variant is None:
            return prepare(
                self.whole, self.base, sets=self.sets, embeddings=embeddings, tracking=tracking
            )
        return prepare_variants(
            self.whole,
            [variant],
            self.base,
            sets=self.sets,
            embeddings=embeddings,
            tracking=tracking,
        )[0]

    def chosen(self, variant: str | None) -> EditSpec:
        """The spec of a variant, or the spec itself if ``variant`` is None, with overrides."""
        self.check_choice(*[variant] if variant else [])
        spec = self.whole.as_variant(variant) if variant else self.whole.without_variants()
        return override(spec, self.sets)

    @property
    def base(self) -> Path:
        """The folder that the spec's relative paths refer to."""
        return self.path.parent if self.folder is None else self.folder

    @property
    def shown(self) -> str:
        """The name of the file in messages: its URL, or else its path."""
        return self.url or str(self.path)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Make errors raised inside the block point into this file's text."""
        try:
            yield
        except GrainError as error:
            if error.source is None:
                raise GrainError(error.diagnostics, source=self.text, path=self.shown) from error
            raise

    def print_findings(self, findings: Iterable[Diagnostic], format: Format) -> None:
        """Show warnings on stderr; with ``--format json`` they are in the printed JSON instead."""
        if format == "text":
            print_findings(findings, source=self.text, path=self.shown)


def tracking_on_need(
    format: Format, device: str | None = None, shown: Shown = "bars"
) -> TrackOptions:
    """How a command tracks regions that have no current masks; it says so on stderr."""
    quiet = format == "json"
    waiting = waiting_for_tracks()
    if shown == "json":
        waiting = replace(waiting, progress=progress_line)
    return replace(
        waiting,
        engines=EngineChoice(device=device),
        say=lambda text: None if quiet else say(text, err=True),
    )


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Raise GrainError (G310) if the block fails to write ``path``."""
    try:
        yield
    except OSError as error:
        message = f"cannot write {path.absolute()}: {error.strerror or error}"
        raise fail("G310", message, "Name another file with `-o`.") from error

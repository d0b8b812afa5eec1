"""What all commands of the runtime do first: read a spec, and show what is doubtful about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from grainspec.cli.output import Format, print_findings
from grainspec.diagnostics import Diagnostic, GrainError, fail, suggestion, visible
from grainspec.loading import load, read_text
from grainspec.model.spec import EditSpec
from grainspec.text.override import override
from grainspec_runtime.backbones.additions import Embedding
from grainspec_runtime.prepare import Prepared, prepare, prepare_variants

ALL = "all"

Command = TypeVar("Command", bound=Callable[..., Any])


def set_option(command: Command) -> Command:
    """Give a command ``--set NAME=VALUE``, which may stand several times."""
    return click.option(
        "--set",
        "sets",
        metavar="NAME=VALUE",
        multiple=True,
        help="Change a single value: attention.self=0.5, sampler.steps=20, left.weight=2, …",
    )(command)


def embedding_option(command: Command) -> Command:
    """Give a command ``--embedding PATH``, which may stand several times."""
    return click.option(
        "--embedding",
        "embeddings",
        metavar="[WORD=]PATH",
        multiple=True,
        help="Load a textual inversion (safetensors), whose word the prompts may have; the word in "
        "the file, or its name, unless WORD names another.",
    )(command)


def variant_option(command: Command) -> Command:
    """Give a command ``--variant NAME``."""
    return click.option("--variant", metavar="NAME", help="Take this variant of the spec.")(command)


@dataclass(frozen=True)
class SpecFile:
    """A spec and the file it was read from; paths in the spec start at ``base``."""

    path: Path
    text: str
    whole: EditSpec
    sets: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path, sets: Sequence[str] = ()) -> SpecFile:
        """Read a .grain or .json file; raises GrainError with all of its findings.

        ``sets`` are values to change, as :func:`grainspec.override` takes them.
        """
        return cls(path, read_text(path), load(path), tuple(sets))

    def check_choice(self, *variants: str) -> None:
        """A usage error for no variant's name, and where there is none but one is needed."""
        for name in variants:
            if name not in self.whole.variant_names:
                cure = suggestion(name, self.whole.variant_names) or "The spec has none."
                if name == ALL and self.whole.variants:
                    cure = f"This command takes one. {cure}"
                message = f"there is no variant `{visible(name)}`. {cure}"
                raise click.BadParameter(message, param_hint="--variant")
        if not variants and self.whole.variants and not (self.whole.target and self.whole.changes):
            names = ", ".join(map(visible, self.whole.variant_names))
            message = "this spec is an edit only by its variants."
            raise click.UsageError(f"{message} Choose one with `--variant NAME`: {names}.")

    def prepared(self, variant: str | None, embeddings: Sequence[Embedding] = ()) -> Prepared:
        """The spec outside its variants, or one of them, ready to run."""
        if variant is None:
            self.check_choice()
            return prepare(self.whole, self.base, sets=self.sets, embeddings=embeddings)
        self.check_choice(variant)
        return prepare_variants(
            self.whole, [variant], self.base, sets=self.sets, embeddings=embeddings
        )[0]

    def chosen(self, variant: str | None) -> EditSpec:
        """The spec outside its variants, or one of them, with the values that were set."""
        self.check_choice(*[variant] if variant else [])
        spec = self.whole.as_variant(variant) if variant else self.whole.without_variants()
        return override(spec, self.sets)

    @property
    def base(self) -> Path:
        """The folder that the spec's relative paths start at."""
        return self.path.parent

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Errors raised inside point into this file's text."""
        try:
            yield
        except GrainError as error:
            if error.source is None:
                raise GrainError(
                    error.diagnostics, source=self.text, path=str(self.path)
                ) from error
            raise

    def report(self, findings: Iterable[Diagnostic], format: Format) -> None:
        """Show warnings on stderr; machines find them in the JSON that a command prints."""
        if format == "text":
            print_findings(findings, source=self.text, path=str(self.path))


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Raises GrainError (G310) where ``path`` cannot be written inside."""
    try:
        yield
    except OSError as error:
        message = f"{path.absolute()} cannot be written: {error.strerror or error}"
        raise fail("G310", message, "Name another file with `-o`.") from error

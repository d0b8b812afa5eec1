"""What all commands of the runtime do first: read a spec, and show what is doubtful about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from grainspec.cli.output import Format, report
from grainspec.diagnostics import Diagnostic, GrainError, fail
from grainspec.files import load, read_text
from grainspec.spec import EditSpec


@dataclass(frozen=True)
class SpecFile:
    """A spec and the file it was read from; paths in the spec start at ``base``."""

    path: Path
    text: str
    spec: EditSpec

    @classmethod
    def read(cls, path: Path) -> SpecFile:
        """Read a .grain or .json file; raises GrainError with all of its findings."""
        return cls(path, read_text(path), load(path))

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
            report(findings, source=self.text, path=str(self.path))


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Raises GrainError (G310) where ``path`` cannot be written inside."""
    try:
        yield
    except OSError as error:
        message = f"{path.absolute()} cannot be written: {error.strerror or error}"
        raise fail("G310", message, "Name another file with `-o`.") from error

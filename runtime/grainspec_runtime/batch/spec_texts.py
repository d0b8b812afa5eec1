"""The texts of a batch's specs: each is read once, where the command runs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from grainspec.cache_folder import fetched_files
from grainspec.diagnostics import Diagnostic, GrainError
from grainspec.loading import read_content, spec_of, text_of
from grainspec.model.spec import EditSpec
from grainspec.remote.address import path_of, shown
from grainspec.remote.spec_files import spec_content


@dataclass(frozen=True, slots=True)
class SpecText:
    """The text of a spec when the batch began, which all machines and attempts use.

    sha256: of its file. unread: why it could not be read; then the text and the hash are empty.
    """

    text: str = field(default="", repr=False)
    sha256: str = ""
    unread: Diagnostic | None = None

    def parsed(self, place: Path | str) -> EditSpec:
        """Return the spec, whose path or URL is ``place``; raises GrainError if it is invalid."""
        if self.unread is not None:
            raise GrainError([self.unread])
        return _parsed(self.text, Path(path_of(place).name) if isinstance(place, str) else place)


class SpecTexts:
    """Reads specs, paths or URLs, each at most once."""

    def __init__(self) -> None:
        self._texts: dict[Path | str, SpecText] = {}

    def of(self, place: Path | str) -> SpecText:
        """Return the text of a spec; one that cannot be read has the reason."""
        if place not in self._texts:
            self._texts[place] = _read(place)
        return self._texts[place]


def _read(place: Path | str) -> SpecText:
    try:
        content = (
            spec_content(place, fetched_files()) if isinstance(place, str) else read_content(place)
        )
        text = text_of(content, shown(str(place)))
    except GrainError as error:
        return SpecText(unread=error.diagnostics[0])
    return SpecText(text, hashlib.sha256(content).hexdigest())


@lru_cache(maxsize=64)
def _parsed(text: str, path: Path) -> EditSpec:
    return spec_of(text, path)

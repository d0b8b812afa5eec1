"""What the studio reads: files below the spec's folder, and below folders that were allowed."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from grainspec.analysis.files import files_at, files_shown
from grainspec.diagnostics import GrainError, fail, visible
from grainspec.language_server.convert import path_of
from grainspec.model.spec import EditSpec

_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\:]")


@dataclass(frozen=True)
class Readable:
    """The folder of the spec, and others whose files may be shown; all resolved."""

    folder: Path
    also: tuple[Path, ...] = ()

    def named(self, text: str) -> Path:
        """The file or folder that a request names, by its path in the spec's folder.

        Raises GrainError (G723) for a path that leads out of it, in any way, and for hidden names;
        G727 if there is no such file.
        """
        parts = text.split("/")
        if _UNSAFE.search(text) or any(not part or part.startswith(".") for part in parts):
            raise _outside(text)
        path = self.folder.joinpath(*parts)
        self.require(path)
        if not path.exists():
            raise fail("G727", f"there is no {visible(text)}", "Reload the page.")
        return path

    def clip(self, text: str) -> Path:
        """A clip that a request names: as :meth:`named`, or in a folder that was allowed."""
        if not self.also or _UNSAFE.search(text):
            return self.named(text)
        path = self.folder / text
        self.require(path)
        return path

    def require(self, path: Path) -> None:
        """Raise GrainError (G723) if a file, or one of a folder, is not below these folders.

        Links are followed; of a folder, the links in it.
        """
        for file in files_at(path):
            self.require_one(file)

    def require_one(self, path: Path) -> None:
        """Raise GrainError (G723) if what a path leads to is not below these folders."""
        if not self.contains(path):
            raise _outside(str(path))

    def path_of(self, uri: str) -> Path | None:
        """The file of a document of the language server; None for those of other folders.

        So is the folder in which the document's paths start, which is not that of a link's target.
        """
        path = path_of(uri)
        if path is None or not (self.contains(path) and self.contains(path.parent)):
            return None
        return path

    def require_spec(self, spec: EditSpec) -> None:
        """Raise GrainError (G723) if a spec would show pixels of other files."""
        for path in files_shown(spec, self.folder):
            self.require_one(path)

    def relative(self, path: Path) -> str:
        """A path as the page has it."""
        return Path(os.path.relpath(path, self.folder)).as_posix()

    def contains(self, path: Path) -> bool:
        """Whether what a path leads to is below these folders."""
        try:
            resolved = path.resolve()
        except (OSError, ValueError, RuntimeError):  # a loop of links, a null character
            return False
        return any(resolved.is_relative_to(folder) for folder in (self.folder, *self.also))


def _outside(text: str) -> GrainError:
    cure = "Copy it into the folder of the spec, or name its folder when you start the studio: "
    cure += "`grain studio SPEC --allow FOLDER`."
    message = f"{visible(text)[:200]} is not below the folder of the spec"
    return fail("G723", message, cure)

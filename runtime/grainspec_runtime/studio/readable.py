"""What the studio reads: files below the spec's folder, and below folders that were allowed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from grainspec.diagnostics import GrainError, fail, visible
from grainspec.language_server.convert import path_of
from grainspec.limits import MAX_FILES
from grainspec.model.expressions import MaskFiles, Track, walk
from grainspec.model.spec import EditSpec

_WILD = re.compile(r"[*?\[]")
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
        if not self._contains(path):
            raise _outside(str(path))
        try:
            with os.scandir(path) as entries:
                for count, entry in enumerate(entries):
                    if count > MAX_FILES:
                        break
                    if entry.is_symlink() and not self._contains(Path(entry.path)):
                        raise _outside(entry.path)
        except OSError:  # no folder; what is wrong with it is told by those who read it
            return

    def path_of(self, uri: str) -> Path | None:
        """The file of a document of the language server; None for those of other folders."""
        path = path_of(uri)
        return path if path is not None and self._contains(path) else None

    def require_spec(self, spec: EditSpec) -> None:
        """Raise GrainError (G723) if a spec would show pixels of other files."""
        for text in _shown(spec):
            path, wild = self.folder / text, _WILD.search(text)
            if wild and not path.exists():
                path = self.folder / text[: text.rfind("/", 0, wild.start()) + 1]
            self.require(path)

    def relative(self, path: Path) -> str:
        """A path as the page has it."""
        return Path(os.path.relpath(path, self.folder)).as_posix()

    def _contains(self, path: Path) -> bool:
        try:
            resolved = path.resolve()
        except (OSError, ValueError, RuntimeError):  # a loop of links, a null character
            return False
        return any(resolved.is_relative_to(folder) for folder in (self.folder, *self.also))


def _shown(spec: EditSpec) -> Iterator[str]:
    """The paths of all files of which a spec shows pixels: its clip and its masks."""
    yield spec.video.path
    for region in spec.regions:
        for node in walk(region.expression):
            if isinstance(node, MaskFiles):
                yield node.path
            for prompt in node.prompts if isinstance(node, Track) else ():
                if isinstance(prompt.shape, MaskFiles):
                    yield prompt.shape.path


def _outside(text: str) -> GrainError:
    cure = "Copy it into the folder of the spec, or name its folder when you start the studio: "
    cure += "`grain studio SPEC --allow FOLDER`."
    message = f"{visible(text)[:200]} is not below the folder of the spec"
    return fail("G723", message, cure)

"""The spec's file that the studio has open."""

from __future__ import annotations

import hashlib
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

from grainspec.diagnostics import fail
from grainspec.limits import MAX_SPEC_BYTES
from grainspec.loading import read_text
from grainspec.regular_file import read_bytes
from grainspec.whole_file import whole_file
from grainspec_runtime.studio.line_ends import written_like


@dataclass(frozen=True)
class OpenSpec:
    """A ``.grain`` file; ``path`` is absolute."""

    path: Path
    _one: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def read(self) -> tuple[str, str]:
        """The text, with ``\\n`` at the end of its lines, and the version of the file.

        Raises GrainError as :func:`grainspec.loading.read_text` does.
        """
        text = read_text(self.path)
        return text, self.version()

    def version(self) -> str:
        """The version of the file: a hash of its content; empty if it cannot be read."""
        try:
            content = read_bytes(self.path, MAX_SPEC_BYTES)
        except (OSError, ValueError):
            return ""
        return hashlib.sha256(content).hexdigest()[:32]

    @property
    def is_gone(self) -> bool:
        """Whether the file was deleted or renamed."""
        return not self.path.exists() and not self.path.is_symlink()

    def write(self, text: str, version: str) -> tuple[str, bool]:
        """Replace the file's text, with the line ends that its lines had; a file that is gone is
        written anew.

        Returns its new version, and whether it was gone. Raises GrainError: G726 if the file is not
        of this version, G310 if it cannot be written.
        """
        with self._one:
            gone = self.is_gone
            if not gone and self.version() != version:
                message = f"{self.path.name} was changed by another program"
                cure = "Reload the page to see it, or save the text under another name."
                raise fail("G726", message, cure)
            try:
                before = "" if gone else self.path.read_bytes().decode("utf-8", "replace")
                content = written_like(text, before).encode("utf-8")
                with whole_file(self.path) as partial:
                    partial.write_bytes(content)
                    if not gone:
                        shutil.copymode(self.path, partial)
            except OSError as error:
                message = f"cannot write {self.path}: {error.strerror or error}"
                raise fail("G310", message, "Make the file writable.") from error
            except UnicodeEncodeError as error:
                raise fail("G724", "the text has half of a character", "Remove it.") from error
            return self.version(), gone

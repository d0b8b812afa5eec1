"""Read specs from files: ``.grain`` text or JSON."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, Any

from grainspec.diagnostics import fail
from grainspec.expect import expect_path
from grainspec.json_format import from_json
from grainspec.limits import MAX_SPEC_BYTES
from grainspec.model.spec import EditSpec
from grainspec.regular_file import TooLarge, read_bytes
from grainspec.text.parse import parse


def load(path: str | Path) -> EditSpec:
    """Read a spec from a ``.grain`` or ``.json`` file.

    Raises GrainError with every finding if there is an error among them; G311 or G006 if the file
    cannot be read as text.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "edit.grain"
    ...     _ = file.write_text('grain 1 video "c" target "a bear" region r = all edit r -> "bear"')
    ...     load(file).target
    'a bear'
    """
    path = expect_path(path, "load")
    return spec_of(read_text(path), path)


def spec_of(text: str, path: Path) -> EditSpec:
    """Read a spec from a text as if it were the content of the file ``path``, which may not exist.

    Raises GrainError with every finding if there is an error among them.
    """
    if path.suffix == ".json":
        return from_json(text, path=str(path)).in_folder(path.parent, path.name)
    return parse(text, path=str(path)).in_folder(path.parent, path.name)


def read_text(path: Path) -> str:
    """A spec's text; raises GrainError as :func:`read_content` and :func:`text_of` do."""
    return text_of(read_content(path), str(path))


def read_content(path: Path) -> bytes:
    """The bytes of a spec's file; raises GrainError: G311 if it cannot be read, G006 if too large.

    Only regular files are read, and only so much as a spec may have.
    """
    try:
        return read_bytes(path, MAX_SPEC_BYTES)
    except TooLarge as error:
        raise fail("G006", f"{path} is too large: {error}", "Is this the spec?") from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        message = f"{path} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise fail("G311", message, "Check the path.") from error


def text_of(content: bytes, name: str) -> str:
    """The text of a spec's file, which messages call ``name``; raises GrainError (G006)."""
    return plain_lines(_as_written(content, name))


def read_stdin() -> str:
    """The text on standard input; raises GrainError as :func:`read_text` does."""
    return plain_lines(stdin_as_written())


def stdin_as_written() -> str:
    """The text on standard input, with its line ends and its byte order mark."""
    name = "standard input"
    if sys.stdin is None or sys.stdin.closed:
        raise fail("G311", f"{name} is closed", "Name a file.")
    stream: IO[Any] = getattr(sys.stdin, "buffer", sys.stdin)  # a caller may have put text there
    try:
        text = stream.read(MAX_SPEC_BYTES + 1)
    except OSError as error:  # such as a folder
        raise fail("G311", f"{name} cannot be read: {error.strerror}", "Name a file.") from error
    if len(text) > MAX_SPEC_BYTES:
        message = f"{name} is too large: it has more than {MAX_SPEC_BYTES / 1e6:.0f} MB"
        raise fail("G006", message, "Is this the spec?")
    return text if isinstance(text, str) else _as_written(text, name)


def plain_lines(text: str) -> str:
    """A text without byte order mark, with `\\n` at the end of each line."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _as_written(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"{name} is not UTF-8 text: byte {error.start} is {error.object[error.start]:#x}"
        raise fail("G006", message, "Save it as UTF-8.") from error

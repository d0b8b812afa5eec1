"""Which names and texts are valid, in text, JSON and Python alike."""

from __future__ import annotations

import os
import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field

from grainspec.model.declaration import InText
from grainspec.model.statements import STATEMENTS
from grainspec.model.validation import refusal, short

RESERVED = frozenset(
    {
        *STATEMENTS,
        *("rest", "all", "of", "class", "instance", "part"),
        *("grow", "shrink", "during", "smooth"),
    }
)
"""Keywords, which cannot be names."""

_PATTERN = r"^[^\W\d][\w\u0300-\u036f]*$"
"""The same as NAME in the grammar. Combining accents are allowed; names are stored as NFC."""

_TWO_LINES = re.compile(r"[\t\n]")

_UNWRITABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters, for which texts have no escape."""


def _name(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    if not re.fullmatch(_PATTERN[1:-1], text):
        cure = "Use letters, digits and `_`, beginning with a letter or `_`."
        raise refusal("G202", f"invalid name `{short(text)}`", cure)
    if text in RESERVED:
        message = f"`{text}` is a keyword and cannot be a name"
        raise refusal("G202", message, f"Choose another name, such as `my_{text}`.")
    return text


def _writable(text: str) -> str:
    found = _UNWRITABLE.search(text)
    if found:
        message = f"invalid character U+{ord(found[0]):04X} in a text"
        raise refusal("G202", message, "Remove it.")
    return text


def _path(text: str) -> str:
    """A path as files are opened with it: `~` is the user's home folder, as in a shell."""
    text = _writable(text)
    found = _TWO_LINES.search(text)
    if found:
        message = f"invalid character U+{ord(found[0]):04X} in a path"
        raise refusal("G202", message, "Write `/` between folders.")
    if not text.startswith("~"):
        return text
    expanded = os.path.expanduser(text)
    return expanded.replace("\\", "/") if os.sep == "\\" else expanded


Name = Annotated[
    str,
    Field(
        max_length=100,
        json_schema_extra={"pattern": _PATTERN, "not": {"enum": sorted(RESERVED)}},
    ),
    AfterValidator(_name),
]
WRITABLE = AfterValidator(_writable)
"""Restricts a ``str`` field to text that can be written in quotes; goes after its limits."""

IN_HOME = AfterValidator(_path)
"""Expands `~`; restricts a ``str`` field to text that can be a path, and be written in quotes.

Instead of ``WRITABLE``: before 2.12, Pydantic calls only the last of two such validators.
"""

PathText = Annotated[str, Field(min_length=1), IN_HOME, InText(kind="path")]
"""A file, folder or glob; relative paths start at the spec's folder, `~` is the home folder."""

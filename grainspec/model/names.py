"""What a name is and what a text may hold, the same through every door."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field

from grainspec.model.validation import refusal

STATEMENTS = (
    "grain",
    "video",
    "model",
    "source",
    "target",
    "negative",
    "region",
    "edit",
    "add",
    "keep",
    "free",
    "attention",
    "flow",
    "inject",
    "context",
    "sampler",
    "control",
    "blend",
    "variant",
    "without",
)
"""The word that begins each statement."""

SHARED = frozenset(
    {
        "grain",
        "video",
        "model",
        "source",
        "region",
        "flow",
        "inject",
        "context",
        "control",
        "blend",
        "variant",
    }
)
"""Statements that cannot stand in a variant: what they say is the same for all."""

RESERVED = frozenset(
    {*STATEMENTS, "rest", "all", "of", "class", "instance", "part", "grow", "shrink", "during"}
)
"""Words of the language, which cannot be names."""

_PATTERN = r"^[^\W\d][\w\u0300-\u036f]*$"
"""As NAME in the grammar. Accents may be marks of their own; names are kept composed (NFC)."""

_UNWRITABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters that texts have no escape for."""


def _name(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    if not re.fullmatch(_PATTERN[1:-1], text):
        cure = "A name begins with a letter or `_` and goes on with letters, digits and `_`."
        raise refusal("G202", f"{text!r} is no name", cure)
    if text in RESERVED:
        message = f"`{text}` is a word of the language and cannot be a name"
        raise refusal("G202", message, f"Choose another, such as `my_{text}`.")
    return text


def _writable(text: str) -> str:
    found = _UNWRITABLE.search(text)
    if found:
        message = f"character U+{ord(found[0]):04X} cannot stand in a text"
        raise refusal("G202", message, "Take it out.")
    return text


Name = Annotated[
    str,
    Field(
        max_length=100,
        json_schema_extra={"pattern": _PATTERN, "not": {"enum": sorted(RESERVED)}},
    ),
    AfterValidator(_name),
]
WRITABLE = AfterValidator(_writable)
"""Makes a ``str`` field one that can be written between quotes; stands after its limits."""

PathText = Annotated[str, Field(min_length=1), WRITABLE]

"""The explanation of each code, with an example of the mistake and the corrected example.

The texts are in ``explanations.md`` in this folder; the comment at its top describes the format.
They are read only on request, so that other commands start faster.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal, cast, get_args

from grainspec.diagnostics.codes import ERRORS, WARNINGS, Severity, severity_of

Kind = Literal["grain", "json", "python", "sh", "text"]
"""A spec, a spec as JSON, Python code, a command line, a folder's listing."""

_HEADING = re.compile(r"^(?:# (?P<family>G\d\.\. .+)|## (?P<code>.+))$", re.MULTILINE)
_SECTION = re.compile(
    r"\s*(?P<text>.+?)\n\n"
    r"Wrong:\n\n```(?P<wrong_kind>\w+)\n(?P<wrong>.+?)```\n\n"
    r"Right:\n\n```(?P<right_kind>\w+)\n(?P<right>.+?)```\s*",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Example:
    """A few lines of an example, and their kind."""

    kind: Kind
    text: str

    def as_json(self) -> dict[str, str]:
        """The example as JSON values."""
        return {"kind": self.kind, "text": self.text}


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a code means, how the mistake usually happens, and how to correct it.

    ``family`` is the heading of the code's group; ``text`` has one line per paragraph, with an
    empty line between paragraphs.
    """

    code: str
    family: str
    text: str
    wrong: Example
    right: Example

    @property
    def title(self) -> str:
        """The code's title, from ``codes.py``."""
        return ERRORS.get(self.code) or WARNINGS[self.code]

    @property
    def severity(self) -> Severity:
        """``error`` or ``warning``."""
        return severity_of(self.code)

    def as_json(self) -> dict[str, Any]:
        """The explanation as JSON values."""
        return {
            "code": self.code,
            "severity": self.severity,
            "title": self.title,
            "text": self.text,
            "wrong": self.wrong.as_json(),
            "right": self.right.as_json(),
        }


@cache
def explanations() -> Mapping[str, Explanation]:
    """All explanations by code, in the order of the codes.

    >>> explanations()["G104"].title
    "an edit's words are not in the target prompt"
    """
    page = files("grainspec.diagnostics").joinpath("explanations.md")
    return MappingProxyType(read_explanations(page.read_text(encoding="utf-8")))


def read_explanations(page: str) -> dict[str, Explanation]:
    """Read the explanations, by code, from the text of ``explanations.md``.

    Raises ValueError for a section that does not have the format described in that file.
    """
    page = re.sub(r"^<!--.*?^-->$", "", page, flags=re.DOTALL | re.MULTILINE)
    by_code: dict[str, Explanation] = {}
    family = ""
    headings = list(_HEADING.finditer(page))
    ends = [heading.start() for heading in headings[1:]] + [len(page)]
    for heading, end in zip(headings, ends, strict=True):
        if heading["family"]:
            family = heading["family"]
            continue
        code = heading["code"]
        section = _SECTION.fullmatch(page, heading.end(), end)
        if not section:
            raise ValueError(
                f"section {code} must have a text, `Wrong:` and `Right:`, each with a fenced block"
            )
        if code in by_code:
            raise ValueError(f"duplicate section {code}")
        by_code[code] = Explanation(
            code,
            family,
            re.sub(r"(?<!\n)\n(?!\n|- )[ ]*", " ", section["text"]),  # but for items of lists
            _example(code, section["wrong_kind"], section["wrong"]),
            _example(code, section["right_kind"], section["right"]),
        )
    return by_code


def _example(code: str, kind: str, text: str) -> Example:
    if kind not in get_args(Kind):
        raise ValueError(f"section {code} has an example of unknown kind `{kind}`")
    return Example(cast(Kind, kind), text)

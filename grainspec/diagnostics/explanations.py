"""What each code means, at length, with an example of the mistake and of its cure.

The texts are in ``explanations.md`` beside this file, whose head says how they are written. They
are read only when somebody asks, so that commands do not wait for them.
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
"""A spec, a spec as a JSON document, a Python program, a command line, a folder's listing."""

_HEADING = re.compile(r"^(?:# (?P<family>G\d\.\. .+)|## (?P<code>.+))$", re.MULTILINE)
_SECTION = re.compile(
    r"\s*(?P<text>.+?)\n\n"
    r"Wrong:\n\n```(?P<wrong_kind>\w+)\n(?P<wrong>.+?)```\n\n"
    r"Right:\n\n```(?P<right_kind>\w+)\n(?P<right>.+?)```\s*",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Example:
    """A few lines, and what they are: a spec, a command line, a folder's listing."""

    kind: Kind
    text: str

    def as_json(self) -> dict[str, str]:
        """A plain dict for machines."""
        return {"kind": self.kind, "text": self.text}


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a code is an error or a warning, how one gets there, and how one gets out again.

    ``family`` is the heading that the code stands under; ``text`` has one line a paragraph, with
    an empty line between paragraphs.
    """

    code: str
    family: str
    text: str
    wrong: Example
    right: Example

    @property
    def title(self) -> str:
        """The code's one line, as it stands in ``codes.py``."""
        return ERRORS.get(self.code) or WARNINGS[self.code]

    @property
    def severity(self) -> Severity:
        """``error`` or ``warning``."""
        return severity_of(self.code)

    def as_json(self) -> dict[str, Any]:
        """A plain dict for machines."""
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
    """Every code's explanation, by code, in the order of the codes.

    >>> explanations()["G104"].title
    "an edit's words are not in the target prompt"
    """
    page = files("grainspec.diagnostics").joinpath("explanations.md")
    return MappingProxyType(read_explanations(page.read_text(encoding="utf-8")))


def read_explanations(page: str) -> dict[str, Explanation]:
    """Explanations, by code, from the text of ``explanations.md``.

    Raises ValueError for a section that is not as that file's head wants it.
    """
    page = re.sub(r"^<!--.*?^-->$", "", page, flags=re.DOTALL | re.MULTILINE)
    found: dict[str, Explanation] = {}
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
                f"the section {code} is not: text, `Wrong:`, `Right:`, each with a fence"
            )
        if code in found:
            raise ValueError(f"the section {code} stands twice")
        found[code] = Explanation(
            code,
            family,
            re.sub(r"(?<!\n)\n(?!\n)", " ", section["text"]),
            _example(code, section["wrong_kind"], section["wrong"]),
            _example(code, section["right_kind"], section["right"]),
        )
    return found


def _example(code: str, kind: str, text: str) -> Example:
    if kind not in get_args(Kind):
        raise ValueError(f"the section {code} has an example of the unknown kind `{kind}`")
    return Example(cast(Kind, kind), text)

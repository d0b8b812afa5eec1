"""Signs of other languages and of word processors, and what grainspec has instead.

Each rule finds one kind of mistake in a statement's text, outside quotes and comments.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

from grainspec.text.draft import Change, Correction, Rule
from grainspec.text.unexpected import named_sign

_SKIPPED = r'(?P<skipped>"(?:\\.|[^"\\\n])*"|#[^\n]*)'
_OPEN, _CLOSE = "“”„‟«»『「", "“”„‟«»』」"
_NUMBERED = frozenset({"levels", "layers"})
"""Settings that take several numbers."""
_NUMBER = r"\d+(?:\.\d+)?"


def _rule(
    pattern: str, correct: Callable[[re.Match[str]], tuple[str, str] | None], cure: str = ""
) -> Rule:
    """A rule: ``correct`` gives the message about a match and what to write instead."""
    expression = re.compile(rf"{_SKIPPED}|{pattern}")

    def rule(text: str) -> Sequence[Correction]:
        found = []
        for match in expression.finditer(text):
            correction = None if match["skipped"] else correct(match)
            if correction and correction[1] != match[0]:
                message, new = correction
                change = Change(*match.span(), new)
                found.append(Correction(message, (change,), cure.replace("{}", new)))
        return found

    return rule


def _quotes(match: re.Match[str]) -> tuple[str, str]:
    inside = match[0][1:-1].replace("\\", "\\\\").replace('"', '\\"')
    return f"texts are written in straight double quotes, not as `{match[0]}`", f'"{inside}"'


def _arrow(match: re.Match[str]) -> tuple[str, str] | None:
    sign = named_sign(match[0]) if len(match[0]) == 1 else f"`{match[0]}`"
    return None if match[0] == "->" else (f"{sign} is not an arrow", "->")


def _comment(match: re.Match[str]) -> tuple[str, str]:
    inside = match[0].removeprefix("//").removeprefix("/*").removesuffix("*/").strip()
    return "comments begin with `#`", f"# {inside}".rstrip()


def _wide(match: re.Match[str]) -> tuple[str, str]:
    sign = match[0]
    plain = {"、": ",", "。": "."}.get(sign, unicodedata.normalize("NFKC", sign))
    return f"{named_sign(sign)} is not in the language", plain


def _size(match: re.Match[str]) -> tuple[str, str]:
    width, height = re.findall(r"\d+", match[0])
    return f"`{match[0]}` is not a size: width and height with `x` between", f"{width}x{height}"


def _frames(match: re.Match[str]) -> tuple[str, str] | None:
    first, last, step = match["first"], match["last"], match["every"]
    word = match["word"]
    new = f"{word} {first}..{last}"
    if (step and word != "frames") or (word in _NUMBERED and match["sign"] == ","):
        return None
    if step:
        new += f" step {step}"
    written = match[0].removeprefix(word).strip(" =:")
    return f"`{written}` is not a range: the first and the last, with `..` between", new


def _ranges(match: re.Match[str]) -> tuple[str, str] | None:
    """A list of numbers and ranges of which some are written `5-9`."""
    wrong = re.search(r"\d+[-–—−]\d+", match[0])
    if wrong is None:
        return None
    new = re.sub(r"(?<=\d)[-–—−](?=\d)", "..", match[0])
    return f"`{wrong[0]}` is not a range: the first and the last, with `..` between", new


def _unit(match: re.Match[str]) -> tuple[str, str]:
    unit = "%" if match["unit"].startswith(("%", "pc", "pe")) else "px"
    return f"`{match[0]}` is not a number with its unit", match["number"] + unit


SIGNS: tuple[Rule, ...] = (
    _rule(
        rf"""[{_OPEN}][^{_OPEN}{_CLOSE}"\n]*[{_CLOSE}"]|"[^{_OPEN}{_CLOSE}"\n]*[{_CLOSE}]"""
        r"""|'[^'"\n]*'|[‘’‚‛][^"‘‚‛\n]*?[‘’](?!\w)|`[^`"\n]*`|＂[^＂\n]*＂""",
        _quotes,
    ),
    _rule(r"//[^\n]*|/\*[^\n]*?\*/(?=[ \t]*(?:\n|$))", _comment, "Write `{}`."),
    _rule(r"[-–—−~=]+[>＞]|[→⇒➔➜➡⟶⟹]", _arrow, "Write `->`."),
    _rule(r"[\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff5e、。]", _wide),
    _rule(r"\b\d+\s*(?:[*×✕✖X]|(?<=\s)x|x(?=\s)|by)\s*\d+\b", _size),
    _rule(
        r"\b(?P<word>frames|during|levels|layers)\s*[=:]?\s*[\[(]?\s*(?P<first>\d+)\s*"
        r"(?P<sign>-|–|—|−|…|:|,|\.\.\.+|\.\.=|\.\.|\bto\b)\s*(?P<last>\d+)\b"
        r"(?:\s*(?:\.\.|:)\s*(?P<every>\d+))?(?:\s*[\])])?(?![\w.%])",
        _frames,
    ),
    _rule(
        r"\b(?:levels|layers)(?:\s+\d+(?:(?:\.\.|[-–—−])\d+)?)+(?![\w.%])", _ranges, "Write `{}`."
    ),
    _rule(
        rf"(?P<number>(?<![\w.]){_NUMBER})\s*(?P<unit>(?<=\s)%|(?<=\s)px\b|(?:percent|pct|pixels?)\b)",
        _unit,
    ),
    _rule(r";", lambda match: ("statements and settings need no `;`", "")),
    _rule(r",(?=\s*(?:[)}\]]|$))", lambda match: ("nothing follows this comma", "")),
    _rule(
        r"(?<=[\w)%\s])[–—−‐‑](?=[\s\w(~])",
        lambda match: (f"{named_sign(match[0])} is not in the language", "-"),
        "Write `-`.",
    ),
)
"""The rules, in the order in which they are applied."""

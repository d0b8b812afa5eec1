"""Find the prompt syntax of other tools, which grainspec reads as plain text.

Sources: the prompt syntax of AUTOMATIC1111's web UI, ComfyUI, compel, InvokeAI, NovelAI, Midjourney
and the Dynamic Prompts extension. Ordinary punctuation is left alone: `a man (in red)`, `C++`,
`the ratio (16:9)`, `a sign that says EXIT AND ENTRY`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

_GONE = "\0"
"""Stands in the text for syntax that was found, so that what is around it can be found."""
MAX_FOUND = 20


class Replacement(NamedTuple):
    """Characters ``start`` to ``end`` of a text, and what to write instead."""

    start: int
    end: int
    text: str


class ForeignPart(NamedTuple):
    """Syntax of another tool in a text.

    ``replacements`` correct it; they are empty where the words to write are not known. Without
    ``certain``, the characters may also be ordinary text. ``advice`` says what grainspec has
    instead: for ``words``, if an edit has just these, and for any words of the target if empty.
    """

    start: int
    end: int
    cure: str
    replacements: tuple[Replacement, ...] = ()
    certain: bool = True
    words: str = ""
    advice: str = ""


Read = Callable[[re.Match[str]], ForeignPart]


def foreign_parts(text: str) -> list[ForeignPart]:
    """Return what is syntax of other tools in a prompt, in the order of the text.

    >>> [text[p.start : p.end] for text in ["a (red hat:1.3) (new)"] for p in foreign_parts(text)]
    ['(red hat:1.3)']
    """
    return list(_parts(text))


@lru_cache(maxsize=1024)
def _parts(text: str) -> tuple[ForeignPart, ...]:
    found: list[ForeignPart] = []
    rest = text
    for pattern, read in _RULES:
        while len(found) < MAX_FOUND:
            matches = list(pattern.finditer(rest))[: MAX_FOUND - len(found)]
            if not matches:
                break
            parts = [read(match) for match in matches]
            found += parts
            for part in parts:
                spans = part.replacements or (Replacement(part.start, part.end, ""),)
                for start, end, _ in spans:
                    rest = rest[:start] + _GONE * (end - start) + rest[end:]
    return tuple(sorted(found))


def without_foreign_syntax(text: str) -> str:
    """Return a text with the syntax of other tools corrected, where the words are known.

    >>> without_foreign_syntax("((green robot)) AND a (hat:0.8)")
    'green robot and a hat'
    """
    return corrected(text, foreign_parts(text))


def corrected(text: str, parts: Iterable[ForeignPart]) -> str:
    """Return a text with these parts of it corrected."""
    changes = [change for part in parts for change in part.replacements]
    for start, end, instead in sorted(changes, reverse=True):
        text = text[:start] + instead + text[end:]
    return text


def words_only(text: str) -> str:
    """Return a corrected text, with ``"`` instead of syntax that has no known words.

    >>> words_only("a (red:1.2) hat <lora:ink:0.8>")
    'a red hat "'
    """
    parts = [
        part if part.replacements else part._replace(replacements=(Replacement(*part[:2], '"'),))
        for part in foreign_parts(text)
    ]
    return corrected(text, parts)


def _plain(match: re.Match[str]) -> str:
    """The words inside a match, without syntax that was found in them."""
    return match["words"].replace(_GONE, "").strip()


def _unwrapped(match: re.Match[str], words: str, weight: str) -> ForeignPart:
    """Correct syntax around ``words`` by removing what is before and after them."""
    start, end = match.span()
    first, last = match.span("words")
    around = (Replacement(start, first, ""), Replacement(last, end, ""))
    kept = tuple(change for change in around if change.start < change.end)
    edit = f'`edit … -> "{words}" {{ weight {weight} }}`'
    advice = f"Words are weighted by their edit: {edit}."
    return ForeignPart(start, end, f"Write “{words}”.", kept, True, words, advice)


def _weight(match: re.Match[str]) -> ForeignPart:
    first = match.start("words")
    brackets = [first + at for at, sign in enumerate(match["words"]) if sign in _BRACKETS]
    weight = f"{min(max(float(match['weight']), 0), 4):g}"
    part = _unwrapped(match, re.sub(f"[{_BRACKETS}]", "", _plain(match)), weight)
    inner = tuple(Replacement(at, at + 1, "") for at in brackets)
    return part._replace(replacements=part.replacements + inner)


def _bare_weight(match: re.Match[str]) -> ForeignPart:
    weight = match["weight"]
    advice = f"Words are weighted by their edit: `{{ weight {float(weight):g} }}`."
    return ForeignPart(*match.span(), f"Remove “{match[0]}”.", advice=advice)


def _emphasis(match: re.Match[str]) -> ForeignPart:
    weaker = match[0].startswith("[") or match[0].endswith("-")
    part = _unwrapped(match, _plain(match), "0.8" if weaker else "1.2")
    # One pair of these brackets may also be an author's own.
    single = match[0][0] in "[{" and match[0][1] not in "[{"
    return part._replace(certain=not single)


def _schedule(match: re.Match[str]) -> ForeignPart:
    cure = (
        "The prompt is the same in all sampling steps: write the final words only. "
        "`attention { until 30% }` sets how long edits are modulated."
    )
    return ForeignPart(*match.span(), cure)


def _choice(match: re.Match[str]) -> ForeignPart:
    first = re.sub(r"^\d+\$\$", "", match[0].strip("{[]}")).partition("|")[0].strip()
    cure = f"Write one choice, such as “{first}”, and a `variant` for each of the others."
    return ForeignPart(*match.span(), cure)


def _wildcard(match: re.Match[str]) -> ForeignPart:
    cure = "Write the words themselves; for several choices, write a `variant` for each."
    return ForeignPart(*match.span(), cure)


def _tag(match: re.Match[str]) -> ForeignPart:
    name, scale = match["name"], match["scale"]
    option = f"`--lora {name}.safetensors{f':{scale}' if scale else ''}`"
    cure = f"Remove it, and load the LoRA with {option}."
    if match["kind"] == "hypernet":
        cure = "Remove it; hypernetworks are not supported."
    return ForeignPart(*match.span(), cure)


def _embedding(match: re.Match[str]) -> ForeignPart:
    name = match["name"]
    cure = f"Write “{name}”, and load it with `--embedding {name}=FILE.safetensors`."
    return ForeignPart(*match.span(), cure)


def _keyword(match: re.Match[str]) -> ForeignPart:
    where = match.start("word"), match.end("scale")
    advice = "Regions keep objects apart: write an `edit` for each object."
    if match["word"] == "AND":
        changes = (Replacement(*where, "and"),)
        return ForeignPart(*where, "Write “and”.", changes, advice=advice)
    start, end = match.span()
    inside = start > 0 and end < len(match.string)
    certain = match["word"] != "BREAK" or _separates(match)
    if not inside or match.string[start - 1] in ",.;":
        cure, instead = "Remove it.", " " if inside else ""
    else:
        cure, instead = "Write a comma instead.", ", "
    return ForeignPart(
        *where, cure, (Replacement(start, end, instead),), certain=certain, advice=advice
    )


def _separates(match: re.Match[str]) -> bool:
    """Whether a keyword stands between clauses; “a BREAK in the clouds” is ordinary text."""
    before, after = match.string[: match.start("word")], match.string[match.end("scale") :]
    if re.search(r"(?:^|\n|[^\w\s]\s)\s*$", before) or re.match(r"\s*(?:$|\n|,)", after):
        return True
    if match.string.count("BREAK") > 1:
        return True
    article = re.compile(r"(?:an?|the)\b", re.IGNORECASE)
    own = article.fullmatch(before.split()[-1])
    return own is None and article.match(after.lstrip()) is not None


_FLAGS = {
    "ar": "Set the size of the clip: `video { size 768x512 }`.",
    "aspect": "Set the size of the clip: `video { size 768x512 }`.",
    "seed": "Write `sampler { seed 7 }`.",
    "steps": "Write `sampler { steps 50 }`.",
    "cfg": "Write `sampler { guidance 7.5 }`.",
    "no": "Write what the clip must not show in `negative`.",
    "neg": "Write what the clip must not show in `negative`.",
    "negative": "Write what the clip must not show in `negative`.",
}
_MORE_FLAGS = (
    "c chaos cref cw fast hd iw niji q quality raw relax repeat s sampler sref stop style stylize "
    "sw test tile turbo v version video w weird"
)


def _flag(match: re.Match[str]) -> ForeignPart:
    return ForeignPart(*match.span(), _FLAGS.get(match["flag"], "Remove it."))


def _parts_weight(match: re.Match[str]) -> ForeignPart:
    advice = "The strength of words is that of their edit: `{ weight 1.2 }`."
    return ForeignPart(*match.span(), "Write a comma.", advice=advice)


def _conjunction(match: re.Match[str]) -> ForeignPart:
    advice = "Regions keep objects apart: write an `edit` for each object."
    return ForeignPart(*match.span(), "Write one prompt.", advice=advice)


def _escape(match: re.Match[str]) -> ForeignPart:
    start, end = match.span()
    cure = f"Write `{match['words']}`: brackets need no backslash."
    return ForeignPart(start, end, cure, (Replacement(start, start + 1, ""),))


def _comment(match: re.Match[str]) -> ForeignPart:
    cure = "Remove it. A `#` begins a comment only outside the quotes."
    return ForeignPart(*match.span(), cure)


_BRACKETS = "()（）"
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_FLAG = "|".join([*_FLAGS, *_MORE_FLAGS.split()])
_RULES: tuple[tuple[re.Pattern[str], Read], ...] = tuple(
    (re.compile(pattern, flags), read)
    for pattern, flags, read in (
        (r"(?<!\\)\\(?P<words>[()\[\]{}])", 0, _escape),
        (
            r"<(?P<kind>lora|lyco|locon|hypernet):(?P<name>[^<>:]+)(?::(?P<scale>[\d.-]+))?[^<>]*>",
            re.IGNORECASE,
            _tag,
        ),
        (r"(?<!\w)embedding:(?P<name>[\w.-]*\w)(?::[\d.]+)?", re.IGNORECASE, _embedding),
        (r"(?m)^[ \t]*(?:#[ \t]|//|/\*).*", 0, _comment),
        (r"(?<![\w_])__[\w/*.-]*[^\W_][\w/*.-]*?__(?![\w_])", 0, _wildcard),
        (r"[{\[][^{}\[\]]*\|[^{}\[\]]*[}\]]", 0, _choice),
        (rf"\[[^\[\]()]*:\s*{_NUMBER}%?\s*\]", 0, _schedule),
        (r"(?:\)|\")\.(?:and|blend|swap)\([^()]*\)", 0, _conjunction),
        (
            rf"[(（](?P<words>[^()（）]*[^()（）\d\s])\s*[:：]\s*(?P<weight>{_NUMBER})\s*[)）]",
            0,
            _weight,
        ),
        (
            rf"[(（](?P<words>(?:[^()（）]|[(（][^()（）]*[)）])*[^()（）\d\s])\s*[:：]\s*"
            rf"(?P<weight>{_NUMBER})\s*[)）]",
            0,
            _weight,
        ),
        (
            r"(?<![:;=-])[(（](?P<words>[^()（）]{0,200}[^()（）\d\s])[:：](?P<weight>\d*\.\d+)"
            r"(?=[\s,;]|\.?\s*$)(?![^()（）]{0,200}[)）])",
            0,
            _weight,
        ),
        (r"\((?P<words>[^()]+)\)(?P<weight>\d*\.\d+)", 0, _weight),
        (r"\((?P<words>[^()]+)\)(?:\++|-+(?=[\s,.]|$))", 0, _emphasis),
        (
            rf"(?:\({_GONE}{{0,99}}){{2,9}}(?P<words>[^()]+)(?:{_GONE}{{0,99}}\)){{2,9}}",
            0,
            _emphasis,
        ),
        (r"\{{1,9}(?P<words>[^{}]+)\}{1,9}", 0, _emphasis),
        (
            r"(?<![^\s,(])\[{1,9}(?!(?:sic|\.\.\.|…)\])(?=[^\[\]]*[^\W\d_A-Z])(?P<words>[^\[\]]+)\]{1,9}"
            r"(?![^\s,.;)])",
            0,
            _emphasis,
        ),
        (
            r"(?<![\w'’-])(?!(?:[cCgG]|[Nn]otepad)\+\+)(?P<words>\w[\w'’-]*)\+{2,}(?!\w)",
            0,
            _emphasis,
        ),
        (r"(?<![\w'’])(?P<words>[^\W\d_][\w'’]*)-{2,}(?=,|\s*$)", 0, _emphasis),
        (rf"(?<!\S)--(?P<flag>{_FLAG})(?![\w-])(?:(?<=no)(?:\s+[^\s-]+)+|\s+[^\s-]\S*)?", 0, _flag),
        (rf"(?<=\w)::\s*(?:{_NUMBER})?", 0, _parts_weight),
        (
            r"(?P<before>(?:(?<=[^\W\d_A-Z])|(?<=[^\w\s]))\s+|^\s*)"
            r"(?P<word>BREAK|ADDCOMM|ADDBASE|ADDROW|ADDCOL|AND)(?![\w-])"
            rf"(?P<scale>(?::\s*{_NUMBER}(?!\S))?)"
            r"(?P<after>[\s,]+(?=[^\WA-Z_]|[^\w\s]|A\b|An\b)|\s*$)",
            0,
            _keyword,
        ),
        (
            r"(?<!ratio)(?<!scale)(?<!version)(?<!aspect)(?<!gamma)"
            r"(?<=[^\W\d_])[:：](?P<weight>[01]?\.\d{1,2})"
            r"(?=[\s,;]|\.?\s*$)",
            re.IGNORECASE,
            _bare_weight,
        ),
    )
)
"""What to look for, in this order; ``words`` is the group that stays in the text."""

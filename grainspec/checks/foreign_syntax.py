"""Find the prompt syntax of other tools, which grainspec reads as plain text.

Sources: the prompt syntax of AUTOMATIC1111's web UI, ComfyUI, compel, InvokeAI, NovelAI, Midjourney
and the Dynamic Prompts extension. Ordinary punctuation is left alone: `a man (in red)`, `C++`,
`the ratio (16:9)`, `a sign that says EXIT AND ENTRY`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
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

    ``replacements`` correct it; they are empty where it is not certain what to write.
    """

    start: int
    end: int
    cure: str
    replacements: tuple[Replacement, ...] = ()


Read = Callable[[re.Match[str]], ForeignPart]


def foreign_parts(text: str) -> list[ForeignPart]:
    """Return what is syntax of other tools in a prompt, in the order of the text.

    >>> [text[p.start : p.end] for text in ["a (red hat:1.3) (new)"] for p in foreign_parts(text)]
    ['(red hat:1.3)']
    """
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
    return sorted(found)


def without_foreign_syntax(text: str) -> str:
    """Return a text with the syntax of other tools corrected, where that is certain.

    >>> without_foreign_syntax("((green robot)) AND a (hat:0.8)")
    'green robot and a hat'
    """
    corrections = [change for part in foreign_parts(text) for change in part.replacements]
    for start, end, instead in sorted(corrections, reverse=True):
        text = text[:start] + instead + text[end:]
    return text


def _plain(match: re.Match[str]) -> str:
    """The words inside a match, without syntax that was found in them."""
    return match["words"].replace(_GONE, "").strip()


def _unwrapped(match: re.Match[str], cure: str) -> ForeignPart:
    """Correct syntax around ``words`` by removing what is before and after them."""
    start, end = match.span()
    first, last = match.span("words")
    around = (Replacement(start, first, ""), Replacement(last, end, ""))
    kept = tuple(change for change in around if change.start < change.end)
    return ForeignPart(start, end, cure, kept)


def _weight(match: re.Match[str]) -> ForeignPart:
    words, weight = _plain(match), match["weight"]
    number = f"{min(max(float(weight), 0), 4):g}"
    return _unwrapped(match, _as_edit(words, number))


def _emphasis(match: re.Match[str]) -> ForeignPart:
    weaker = match[0].startswith("[") or match[0].endswith("-")
    return _unwrapped(match, _as_edit(_plain(match), "0.8" if weaker else "1.2"))


def _as_edit(words: str, weight: str) -> str:
    edit = f'`edit … -> "{words}" {{ weight {weight} }}`'
    return f"Write “{words}”. Words are weighted by their edit: {edit}."


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
    where = match.span("word")
    edits = "Regions keep objects apart: write an `edit` for each object."
    if match["word"] == "AND":
        return ForeignPart(*where, f"Write “and”. {edits}", (Replacement(*where, "and"),))
    start, end = match.span()
    inside = start > 0 and end < len(match.string)
    if not inside or match.string[start - 1] in ",.;":
        return ForeignPart(
            *where, f"Remove it. {edits}", (Replacement(start, end, " " if inside else ""),)
        )
    return ForeignPart(*where, f"Write a comma instead. {edits}", (Replacement(start, end, ", "),))


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
    cure = "Write a comma. The strength of words is that of their edit: `{ weight 1.2 }`."
    return ForeignPart(*match.span(), cure)


def _conjunction(match: re.Match[str]) -> ForeignPart:
    cure = "Write one prompt. Regions keep objects apart: write an `edit` for each object."
    return ForeignPart(*match.span(), cure)


def _escape(match: re.Match[str]) -> ForeignPart:
    start, end = match.span()
    cure = f"Write `{match['words']}`: brackets need no backslash."
    return ForeignPart(start, end, cure, (Replacement(start, start + 1, ""),))


def _comment(match: re.Match[str]) -> ForeignPart:
    cure = "Remove it. A `#` begins a comment only outside the quotes."
    return ForeignPart(*match.span(), cure)


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
            rf"\((?P<words>[^()]*[^()\d\s])\s*:\s*(?P<weight>{_NUMBER})\s*\)",
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
            r"(?P<after>[\s,]+(?=[^\WA-Z_]|[^\w\s]|A\b|An\b)|\s*$)",
            0,
            _keyword,
        ),
    )
)
"""What to look for, in this order; ``words`` is the group that stays in the text."""

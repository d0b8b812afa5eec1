"""Write a text into a file as that is written: its byte order mark, and its line ends."""

from __future__ import annotations

import re
from collections import Counter
from difflib import SequenceMatcher

from grainspec.loading import plain_lines

_ENDS = re.compile(r"(\r\n|\r|\n)")
_MARK = "\ufeff"


def written_like(text: str, before: str) -> str:
    r"""A text with the byte order mark and the line ends of the file that it replaces.

    Lines that stay keep their own ends, whichever they are; new ones have the most frequent.

    >>> written_like("a\nnew\nb\nc\n", "a\r\nb\nc\r\n")
    'a\r\nnew\r\nb\nc\r\n'
    """
    mark = _MARK if before.startswith(_MARK) else ""
    parts = _ENDS.split(before.removeprefix(_MARK))
    ends = parts[1::2]
    usual = Counter(ends).most_common(1)[0][0] if ends else "\n"
    lines = plain_lines(text).split("\n")
    kept = _kept(parts[::2], lines) if len({*ends}) > 1 else {}
    found = [kept.get(at, len(ends)) for at in range(len(lines) - 1)]
    new = [ends[at] if at < len(ends) else usual for at in found]
    return mark + "".join(map("".join, zip(lines, [*new, ""], strict=True)))


def _kept(old: list[str], new: list[str]) -> dict[int, int]:
    """The numbers of new lines that stand for old ones, and those of the old ones."""
    kept: dict[int, int] = {}
    for _, first, last, start, end in SequenceMatcher(None, old, new, False).get_opcodes():
        if last - first == end - start:  # the same, or as many others in their place
            kept |= dict(zip(range(start, end), range(first, last), strict=True))
    return kept

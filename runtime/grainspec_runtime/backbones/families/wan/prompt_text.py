"""A prompt as Wan's pipelines clean it, with the characters of the user's text that remain.

The pipelines of diffusers repair the encoding with ftfy if it is installed, replace HTML entities,
and make every run of whitespace one space. Tokens are counted in the cleaned text, but phrases are
found in the text as the user wrote it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher
from importlib.util import find_spec

from grainspec.words import CharSpan

_ENTITY = re.compile(r"&(?:#\d+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)")
"""What HTML5 reads as a character reference."""
_WHITESPACE = re.compile(r"[^\S\x1c-\x1f]+")
"""What ``\\s`` is in the package regex, which diffusers cleans with."""


@dataclass(frozen=True)
class PromptText:
    """A text, and for each of its characters the span of the user's text that it comes from."""

    text: str
    origins: tuple[CharSpan, ...]

    @classmethod
    def of(cls, text: str) -> PromptText:
        """Return a user's text, unchanged."""
        return cls(text, tuple((place, place + 1) for place in range(len(text))))

    def span(self, start: int, end: int) -> CharSpan:
        """Return the user's characters for a range of this text; ``(0, 0)`` if it is empty."""
        if start >= end:
            return 0, 0
        return self.origins[start][0], self.origins[end - 1][1]

    def stripped(self) -> PromptText:
        """Remove whitespace at both ends."""
        start = len(self.text) - len(self.text.lstrip())
        end = max(start, len(self.text.rstrip()))
        return PromptText(self.text[start:end], self.origins[start:end])

    def replaced(self, pattern: re.Pattern[str], by: Callable[[str], str]) -> PromptText:
        """Replace every match of a pattern; the new characters come from the whole match."""
        pieces, origins, position = list[str](), list[CharSpan](), 0
        for match in pattern.finditer(self.text):
            new = by(match[0])
            pieces += [self.text[position : match.start()], new]
            origins += self.origins[position : match.start()]
            origins += [self.span(*match.span())] * len(new)
            position = match.end()
        pieces.append(self.text[position:])
        return PromptText("".join(pieces), (*origins, *self.origins[position:]))

    def rewritten(self, text: str) -> PromptText:
        """Replace the whole text; characters are matched with those of the old one."""
        if text == self.text:
            return self
        origins = list[CharSpan]()
        matcher = SequenceMatcher(None, self.text, text, autojunk=False)
        for kind, start, end, new_start, new_end in matcher.get_opcodes():
            if kind == "equal":
                origins += self.origins[start:end]
            else:
                origins += [self.span(start, end)] * (new_end - new_start)
        return PromptText(text, tuple(origins))


def cleaned(text: str) -> PromptText:
    """Clean a prompt as ``prompt_clean`` of diffusers' Wan pipelines does.

    >>> cleaned(" a  red&nbsp;robot ").text
    'a red robot'
    >>> cleaned(" a  red&nbsp;robot ").span(2, 5)
    (4, 7)
    """
    prompt = PromptText.of(text)
    if find_spec("ftfy"):
        import ftfy

        prompt = prompt.rewritten(ftfy.fix_text(text))
    for _ in range(2):
        prompt = prompt.replaced(_ENTITY, html.unescape)
    return prompt.stripped().replaced(_WHITESPACE, lambda _: " ").stripped()

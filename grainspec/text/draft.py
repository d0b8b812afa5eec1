"""A statement's text under correction, which remembers where each character came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Change(NamedTuple):
    """Characters ``start`` to before ``end`` are replaced by ``text``."""

    start: int
    end: int
    text: str


class Correction(NamedTuple):
    """One mistake in a text: what is wrong, and the changes that correct it."""

    message: str
    changes: tuple[Change, ...]
    cure: str = ""
    """By default it shows the corrected statement, or what is written instead."""
    code: str = ""
    """By default that of the parser's finding."""


Rule = Callable[[str], Sequence[Correction]]
"""Finds the mistakes of one kind in a statement's text."""


class Draft:
    """The text of a statement, and the corrections made to it.

    >>> draft = Draft("edit left => 'bear'")
    >>> draft.correct([Correction("no arrow", (Change(10, 12, "->"),))])
    >>> draft.correct([Correction("quotes", (Change(13, 14, '"'), Change(18, 19, '"')))])
    >>> draft.text, draft.is_sound
    ('edit left -> "bear"', True)
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.corrections: list[Correction] = []
        """The corrections so far; their changes are of the original text."""
        self._original = text
        self._places = [(at, at + 1) for at in range(len(text))]
        """For each character, the original characters that it stands for."""

    def correct(self, corrections: Sequence[Correction]) -> None:
        """Make corrections of the current text."""
        changes: list[tuple[Change, tuple[int, int]]] = []
        for correction in corrections:
            original = tuple(map(self._in_original, correction.changes))
            self.corrections.append(correction._replace(changes=original))
            places = [(change.start, change.end) for change in original]
            changes += zip(correction.changes, places, strict=True)
        for (start, end, text), place in sorted(changes, reverse=True):
            self.text = self.text[:start] + text + self.text[end:]
            self._places[start:end] = [place] * len(text)

    def _in_original(self, change: Change) -> Change:
        start, end, text = change
        if start == end:
            at = self._places[start - 1][1] if start else 0
            return Change(at, at, text)
        return Change(self._places[start][0], self._places[end - 1][1], text)

    @property
    def is_sound(self) -> bool:
        """Whether the changes, made to the original text, give the current text."""
        changes = [change for correction in self.corrections for change in correction.changes]
        return changed(self._original, changes) == self.text


def changed(text: str, changes: Sequence[Change]) -> str | None:
    """A text after changes to it; None if two of them overlap.

    >>> changed("a => b", [Change(2, 4, "->"), Change(6, 6, ".")])
    'a -> b.'
    """
    parts: list[str] = []
    position = 0
    for start, end, new in sorted(changes, key=lambda change: (change.start, change.end)):
        if start < position:
            return None
        parts += [text[position:start], new]
        position = end
    return "".join(parts) + text[position:]

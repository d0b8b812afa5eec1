"""Which text tokens of the source prompt the tokens of the target prompt correspond to.

Prompt-to-Prompt (arXiv 2208.01626, section 3.2) exchanges attention maps between two prompts, for
which it needs the correspondence of their tokens. It aligns tokens by the sequence alignment of
Needleman and Wunsch, and for replaced words it expects prompts of the same number of words. Here
words are aligned, by their longest common runs, so that a word is never split, and words that
differ between two common runs replace each other, however many they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from grainspec.scripts import folded
from grainspec.words import CharSpan, word_spans

Floats = npt.NDArray[np.float32]
Tokens = tuple[int, ...]
"""Positions of text tokens."""


class Correspondence(NamedTuple):
    """Tokens of the target, and those of the source that they correspond to."""

    target: Tokens
    source: Tokens
    replaced: bool
    """Whether the words differ."""


@dataclass(frozen=True, slots=True)
class PromptAlignment:
    """The correspondences between two prompts of ``length`` positions each.

    Words that are only in one of the prompts have none. Start tokens correspond to each other, and
    so do the end tokens and the padding behind them, as far as both prompts have them.
    """

    length: int
    correspondences: tuple[Correspondence, ...]

    def mapping_ST(self, *, replace: bool) -> Floats:
        """How target tokens take over the attention of source tokens, float32 ``[S, T]``.

        The attention maps M of the source become M @ mapping. Columns of tokens that take over
        nothing are 0: those of added words, and of replaced ones unless ``replace``. Where a
        different number of tokens replaces others, each has an equal share of the sum, as in
        Prompt-to-Prompt's code.
        """
        mapping = np.zeros((self.length, self.length), np.float32)
        for target, source, replaced in self.correspondences:
            if replaced and not replace:
                continue
            if len(target) == len(source):
                mapping[list(source), list(target)] = 1
            else:
                mapping[np.ix_(source, target)] = 1 / len(target)
        return mapping

    def sources(self, target: Iterable[int]) -> Tokens:
        """The tokens of the source that tokens of the target correspond to."""
        wanted = set(target)
        chosen = {
            token
            for group in self.correspondences
            if wanted & set(group.target)
            for token in group.source
        }
        return tuple(sorted(chosen))


def align_prompts(
    source: str,
    target: str,
    source_places: Sequence[CharSpan],
    target_places: Sequence[CharSpan],
) -> PromptAlignment:
    """Align two prompts by their words and the character spans of their text tokens.

    The places are those of a tokenizer: one for each position of the text encoder's input, empty
    for special tokens and padding.

    >>> theirs, ours = [(0, 0), (0, 1), (2, 5)], [(0, 0), (0, 1), (2, 6)]
    >>> for one in align_prompts("a man", "a bear", theirs, ours).correspondences:
    ...     print(*one)
    (0,) (0,) False
    (1,) (1,) False
    (2,) (2,) True
    """
    ours, theirs = _units(target, target_places), _units(source, source_places)
    matcher = SequenceMatcher(None, [it.text for it in theirs], [it.text for it in ours], False)
    found = list(_special(source_places, target_places))
    for kind, first, last, start, end in matcher.get_opcodes():
        if kind in ("equal", "replace"):
            found += _of_run(theirs[first:last], ours[start:end], replaced=kind == "replace")
    return PromptAlignment(len(target_places), tuple(sorted(found)))


class _Unit(NamedTuple):
    """A word, or a token outside of words, such as a comma."""

    text: str
    tokens: Tokens


def _units(prompt: str, places: Sequence[CharSpan]) -> list[_Unit]:
    words = word_spans(prompt)
    groups: dict[CharSpan, list[int]] = {}
    for position, (start, end) in enumerate(places):
        if start < end:
            word = next((it for it in words if it[0] < end and start < it[1]), (start, end))
            groups.setdefault(word, []).append(position)
    return [_Unit(folded(prompt[slice(*span)]).text, tuple(it)) for span, it in groups.items()]


def _of_run(
    source: Sequence[_Unit], target: Sequence[_Unit], *, replaced: bool
) -> list[Correspondence]:
    """The correspondences of two runs of words: word by word if they are as many."""
    if len(source) == len(target):
        pairs = zip(target, source, strict=True)
        return [Correspondence(ours.tokens, theirs.tokens, replaced) for ours, theirs in pairs]
    return [Correspondence(_all(target), _all(source), replaced)]


def _all(units: Sequence[_Unit]) -> Tokens:
    return tuple(token for unit in units for token in unit.tokens)


def _special(
    source_places: Sequence[CharSpan], target_places: Sequence[CharSpan]
) -> Iterable[Correspondence]:
    """Special tokens and padding: before the words by position, behind them by distance."""
    (before, behind), (before_ours, behind_ours) = map(_outside, (source_places, target_places))
    for theirs, ours in ((before, before_ours), (behind, behind_ours)):
        for source, target in zip(theirs, ours, strict=False):
            yield Correspondence((target,), (source,), replaced=False)


def _outside(places: Sequence[CharSpan]) -> tuple[range, range]:
    """The positions before the first word and behind the last; without words, before the second."""
    words = [at for at, (start, end) in enumerate(places) if start < end]
    first, last = (words[0], words[-1]) if words else (1, 0)
    return range(first), range(last + 1, len(places))

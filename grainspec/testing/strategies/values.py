"""Choices and numbers read from a few drawn bytes.

A draw takes Hypothesis longer than all else that a strategy does. A region, a shape or a block of
settings is therefore read from a single draw of bytes, which Hypothesis shrinks byte by byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


BYTES = st.binary(min_size=64, max_size=64)
"""What values are read from. All have one length: Hypothesis also copies one over another."""


class Rolls:
    """Values read from bytes in turn; 0 stands for the simplest, and so do missing bytes.

    >>> rolls = Rolls(bytes([7, 2]))
    >>> rolls.upto(4), rolls.of("abc"), rolls.of("abc")
    (2, 'c', 'a')
    """

    __slots__ = ("_left",)

    def __init__(self, data: bytes) -> None:
        self._left = iter(data)

    def upto(self, most: int) -> int:
        """A whole number from 0 to ``most``."""
        value, room = next(self._left, 0), 255
        while room < most:
            value, room = value * 256 + next(self._left, 0), room * 256 + 255
        return value % (most + 1)

    def of(self, options: Sequence[T]) -> T:
        """One of the options; the first is the simplest."""
        return options[self.upto(len(options) - 1)]

    def whole(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, often near one of them."""
        reach = high - low
        kind = self.upto(3)
        if kind == 0:
            return low + self.upto(min(15, reach))
        if kind == 1:
            return high - self.upto(min(1, reach))
        return low + self.upto(reach)

    def number(self, low: float, high: float, simplest: float = 0) -> float:
        """A number in a range: its ends, multiples of 0.01, and others."""
        first, second = self.upto(255), self.upto(255)
        if first == 0:
            return float(min(high, max(low, simplest)))
        if first <= 16:
            return float(low)
        if first <= 32:
            return float(high)
        value = low + (high - low) * ((first - 33) * 256 + second) / (223 * 256)
        return float(min(high, max(low, value if second % 4 == 3 else round(value, 2))))

    def text(self) -> str:
        """A text on one line, of at least one character."""
        letters = [self.of(_LETTERS) for _ in range(self.of((1, 1, 2, 5)))]
        return "".join(letters)


_LETTERS = (
    *"ax0/. _-~\"'\\#{}()[]@%→“”é\u0301ßΩ中あ🐻𝔘*?",
    "\u00a0", "\u200b", "\u2028", "\ufeff", "\ue000",
)  # fmt: skip
"""Characters that mean something in the language, in paths or in globs, and from other scripts."""

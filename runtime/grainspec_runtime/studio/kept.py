"""Values that are kept to be used again, within a bound."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Kept(Generic[V]):
    """The values used last, up to a total size; may be used by several threads.

    ``size`` is that of a value, in the unit of ``most``; ``drop`` is called with what is let go.
    """

    def __init__(
        self,
        most: int,
        size: Callable[[V], int] = lambda value: 1,
        drop: Callable[[V], None] = lambda value: None,
    ) -> None:
        self._most, self._size, self._drop = most, size, drop
        self._values: OrderedDict[Hashable, V] = OrderedDict()
        self._total = 0
        self._one = threading.Lock()

    def get(self, key: Hashable) -> V | None:
        """The value of a key, if it is still there."""
        with self._one:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: Hashable, value: V) -> V:
        """Keep a value, and return it; the least recently used ones make room."""
        with self._one:
            self._remove(key)
            self._values[key] = value
            self._total += self._size(value)
            while self._total > self._most and len(self._values) > 1:
                self._remove(next(iter(self._values)))
        return value

    def made(self, key: Hashable, make: Callable[[], V]) -> V:
        """The value of a key; it is made if it is not there."""
        value = self.get(key)
        return self.put(key, make()) if value is None else value

    def _remove(self, key: Hashable) -> None:
        if key in self._values:
            value = self._values.pop(key)
            self._total -= self._size(value)
            self._drop(value)

"""Values that are computed once."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import Any, Generic, TypeVar, overload

Value = TypeVar("Value")


class kept(Generic[Value]):  # noqa: N801  # used like `property`
    """A property that is computed on first use, as ``functools.cached_property``, by one thread.

    Others wait for it, but only for the same value of the same object. With the lock that Python
    3.11 has for all objects, a long text would hold up all others; without one, a text would be
    read twice at a time.
    """

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self.compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> kept[Value]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> Value: ...
    def __get__(self, instance: object | None, owner: type[Any]) -> kept[Value] | Value:
        if instance is None:
            return self
        values = instance.__dict__
        with values.setdefault(f"{self.name} lock", RLock()):
            if self.name not in values:
                values[self.name] = self.compute(instance)
            return values[self.name]  # type: ignore[no-any-return]

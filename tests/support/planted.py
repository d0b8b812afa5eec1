"""Plant a fault: replace a piece of a module's source in its functions, wherever they are used."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType, ModuleType
from typing import Any


@contextmanager
def planted(module: ModuleType, old: str, new: str) -> Iterator[None]:
    """Replace ``old`` by ``new``, once, in the functions and methods of a module inside the block.

    Functions keep their identity and get other code, so that it does not matter who imported them.
    """
    source = inspect.getsource(module)
    assert old in source, f"{module.__name__} has no {old!r}"
    mutant = ModuleType(module.__name__)
    mutant.__dict__.update({name: vars(module)[name] for name in ("__name__", "__file__")})
    exec(compile(source.replace(old, new, 1), module.__file__ or "", "exec"), mutant.__dict__)
    other = dict(_functions(mutant))
    changed = [
        (function, other[name].__code__, function.__code__)
        for name, function in _functions(module)
        if name in other and _differ(other[name], function)
    ]
    assert changed, "the replaced piece is in no function"
    try:
        for function, code, _ in changed:
            function.__code__ = code
        yield
    finally:
        for function, _, code in changed:
            function.__code__ = code


def _functions(module: ModuleType) -> Iterator[tuple[str, FunctionType]]:
    """The functions and methods that a module defines, by their qualified names."""
    owners: list[Any] = [module, *(it for it in vars(module).values() if inspect.isclass(it))]
    for owner in owners:
        if getattr(owner, "__module__", module.__name__) != module.__name__:
            continue
        for value in list(vars(owner).values()):
            if isinstance(value, property):
                value = value.fget
            value = inspect.unwrap(getattr(value, "__func__", value))
            if isinstance(value, FunctionType) and value.__module__ == module.__name__:
                yield value.__qualname__, value


def _differ(one: FunctionType, other: FunctionType) -> bool:
    return _shape(one.__code__) != _shape(other.__code__)


def _shape(code: Any) -> Any:
    constants = tuple(_shape(it) if hasattr(it, "co_code") else it for it in code.co_consts)
    return code.co_code, constants, code.co_names, code.co_varnames

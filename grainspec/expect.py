"""Check arguments of calls: specs, regions and phrases; errors name the line of the call."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike, fspath
from pathlib import Path, PurePath
from typing import TypeVar

from grainspec.diagnostics import refuse
from grainspec.model.expressions import Operators, Referable, Reference
from grainspec.model.spec import EditSpec, Region

Argument = TypeVar("Argument")


def expect_spec(value: object, function: str) -> EditSpec:
    """Return the same spec; raises GrainError (G202) for any other value, such as a builder.

    >>> from grainspec import Builder, GrainError
    >>> try:
    ...     expect_spec(Builder("c.mp4"), "check")
    ... except GrainError as error:
    ...     print(error.diagnostics[0].cure)
    Call `.build()` on it first.
    """
    if isinstance(value, EditSpec):
        return value
    cures = {
        "Builder": "Call `.build()` on it first.",
        "Changes": "Pass it to `Builder.variant(name, changes)`, then call `.build()`.",
        "str": "Read a text with `grainspec.parse`, a file with `grainspec.load`.",
        "dict": "Read a JSON document with `grainspec.from_json`.",
    }
    kind = "PurePath" if isinstance(value, PurePath) else type(value).__name__
    cures["PurePath"] = "Read the file with `grainspec.load`."
    cure = cures.get(kind, "Get one from `grainspec.load`, `parse` or `Builder(…).build()`.")
    raise refuse("G202", f"`{function}` expects an EditSpec, not {_kind(value)}", cure)


def expect_text(value: object, function: str) -> str:
    """Return the same text; raises GrainError (G202) for any other value, such as a path.

    >>> from grainspec import GrainError
    >>> try:
    ...     expect_text(5, "parse")
    ... except GrainError as error:
    ...     print(error.diagnostics[0].message)
    `parse` expects a text, not the number 5
    """
    if isinstance(value, str):
        return value
    cure = f"Give it the text itself: `{function}(text)`."
    if isinstance(value, PurePath):
        cure = "Read the file with `grainspec.load`."
    elif isinstance(value, EditSpec):
        cure = "It is a spec already: use it as it is."
    elif isinstance(value, bytes | bytearray):
        cure = 'Decode it first: `.decode("utf-8")`.'
    elif isinstance(value, dict) and function == "from_json":
        cure = "Write it as a document first: `from_json(json.dumps(document))`."
    raise refuse("G202", f"`{function}` expects a text, not {_kind(value)}", cure)


def expect_path(value: object, function: str) -> Path:
    """Return a path; raises GrainError (G202) for a value that is neither a path nor a text."""
    if isinstance(value, str | PathLike):
        path = fspath(value)
        if isinstance(path, str):
            return Path(path)
    cure = f'Write the file\'s path: `{function}("edit.grain")`.'
    raise refuse("G202", f"`{function}` expects a path, not {_kind(value)}", cure)


def expect_settings(value: object, function: str) -> list[str]:
    """Return settings such as ``sampler.steps=3`` as a list; a single text is one setting.

    Raises GrainError (G202) for anything else.
    """
    if isinstance(value, str):
        return [value]
    settings: list[str] = []
    for setting in value if isinstance(value, Iterable) else [value]:
        if not isinstance(setting, str):
            message = f"`{function}` expects settings as texts, not {_kind(setting)}"
            raise refuse("G202", message, 'Write `["sampler.steps=30"]`.')
        settings.append(setting)
    return settings


def region_name(value: object, statement: str) -> str:
    """Return the name of the region that a statement refers to.

    ``value`` is the name, a :class:`Region`, ``named(…)``, or a builder, which stands for the last
    region that it defined. Raises GrainError: G205 for an expression without a name, G202 for any
    other value.

    >>> from grainspec import ALL, Builder, named, region
    >>> region_name(region("left", ALL), "keep"), region_name(named("left"), "keep")
    ('left', 'left')
    >>> region_name(Builder("c.mp4").region("left", ALL), "keep")
    'left'
    """
    if isinstance(value, str):
        return value
    if isinstance(value, Region | Reference):
        return value.name
    if isinstance(value, Operators):
        message = f"`{statement}` expects a named region, not {_kind(value)}"
        method = {"class": "class_"}.get(statement, statement)
        use = {"of": "of=area"}.get(statement, f".{method}(area, …)")
        if statement in {"keep", "free", "without"}:
            use = f".{statement}(area)"
        cure = f'Give the expression a name, `area = region("area", …)`, and write `{use}`.'
        raise refuse("G205", message, cure)
    if isinstance(value, Referable):
        return value._reference().name
    message = f"`{statement}` expects a region, not {_kind(value)}"
    cure = 'Write its name, such as `"left"`, or a region: `region("left", …)`.'
    if isinstance(value, PurePath):
        cure = f'Name its masks first: `left = region("left", masks("{value.as_posix()}"))`.'
    if isinstance(value, list | tuple | set) and statement in {"keep", "free", "without"}:
        cure = f'Write the names as separate arguments: `.{statement}("left", "right")`.'
    raise refuse("G202", message, cure)


def expect_definition(name: str, expression: Argument) -> tuple[str, Argument]:
    """Return name and expression; raises GrainError (G205) if one is missing or they are swapped.

    >>> from grainspec import ALL
    >>> expect_definition("left", ALL)
    ('left', All())
    """
    if isinstance(name, Operators):
        cure = 'Write the name first: `region("left", masks("masks/left"))`.'
        raise refuse("G205", f"`region` expects a name, not {_kind(name)}", cure)
    if expression is None:
        cure = f'Write what it is: `region("{name}", masks("masks/{name}"))`.'
        raise refuse("G205", f"the region `{name}` has no expression", cure)
    return name, expression


def expect_phrase(value: str, statement: str) -> str:
    """Return the same phrase; raises GrainError (G202) for a region or an expression."""
    if isinstance(value, Operators):
        cure = f'Write the region first, then the phrase: `.{statement}(left, "green robot")`.'
        message = f"`{statement}` expects a text as its phrase, not {_kind(value)}"
        raise refuse("G202", message, cure)
    return value


def _kind(value: object) -> str:
    """Describe a value in a message: ``the number 3``, ``a Builder``."""
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, PurePath):
        return f"the path {value.as_posix()}"
    if isinstance(value, Region):
        return f"the region `{value.name}`"
    if isinstance(value, Reference):
        return f"`named({value.name!r})`"
    if isinstance(value, Operators):
        return f"a region expression ({type(value).__name__})"
    name = {"str": "text"}.get(type(value).__name__, type(value).__name__)
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"

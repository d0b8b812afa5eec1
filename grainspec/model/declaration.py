"""Read a field's declaration for the language: keyword, kind, range, default and meaning.

A setting is declared once, as a field of its block's model:

    until: Percent = Field(default=1.0, description="Share of the steps after which it ends.")

:func:`settings_of` reads that declaration. The parser, the printer, ``--set``, the builder, the
strategies for tests, the highlighters and the reference's tables all work from it.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from functools import cache
from keyword import iskeyword
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from grainspec.model.nodes import Node


class InText(NamedTuple):
    """Details of a field's form in the language that its type and name do not give.

    It goes into the field's ``Annotated``.
    """

    keyword: str = ""
    """The keyword; by default the field's alias or name."""
    kind: str = ""
    """The kind of value; by default that of its type (see :data:`KIND_OF_TYPE`)."""
    head: bool = False
    """Whether it is written before the block's brace."""
    absent: str = ""
    """The effect of omitting it, for a field whose default is None."""
    owners: tuple[str, ...] = ()
    """The words before the block's brace, such as methods, that have the setting."""


HEAD = InText(head=True)

KIND_OF_TYPE = {
    "bool": "flag",
    "int": "whole",
    "float": "decimal",
    "str": "text",
    "FrameRange": "frames",
    "Size": "size",
    "Length": "length",
    "Box": "box",
}
"""The kind of value by the name of its type; a ``Literal`` is a ``choice``."""


class Declaration(NamedTuple):
    """One setting, as its field declares it."""

    field: str
    """The attribute in Python."""
    key: str
    """The key in JSON."""
    keyword: str
    """The keyword in the language."""
    kind: str
    """How its value is written; :mod:`grainspec.text.kinds` has a row for each kind."""
    choices: tuple[str, ...]
    """The allowed words, for a ``choice``."""
    low: float | None
    high: float | None
    above: bool
    """Whether ``low`` itself is excluded."""
    default: Any
    """None if it has no default."""
    required: bool
    optional: bool
    """Whether it may be None."""
    head: bool
    absent: str
    owners: tuple[str, ...]
    """The words before the block's brace that have it; none where all settings are for all."""
    description: str
    """Its meaning. That of a setting which only some of these words have begins with them."""

    @property
    def argument(self) -> str:
        """Its name as an argument in Python: the keyword, unless Python reserves that word."""
        return self.field if iskeyword(self.keyword) else self.keyword


@cache
def fields_of(model: type[Node]) -> dict[str, Declaration]:
    """Every field of a model by its keyword, in the order of the model.

    >>> from grainspec.model.settings.sampler import Sampler
    >>> steps = fields_of(Sampler)["steps"]
    >>> steps.kind, steps.low, steps.high, steps.default
    ('whole', 1, 1000, 50)
    """
    declared = [_declaration(name, info) for name, info in model.model_fields.items()]
    words = next((declaration.choices for declaration in declared if declaration.head), ())
    return {declaration.keyword: _with_owners(declaration, words) for declaration in declared}


@cache
def settings_of(model: type[Node]) -> dict[str, Declaration]:
    """The settings inside a block's braces, by their keywords.

    >>> from grainspec.model.settings.sampler import Sampler
    >>> "steps" in settings_of(Sampler), "method" in settings_of(Sampler)
    (True, False)
    """
    return {word: declared for word, declared in fields_of(model).items() if not declared.head}


@cache
def head_of(model: type[Node]) -> Declaration | None:
    """The field before a block's brace, such as the sampler's method; None if it has none."""
    heads = (declared for declared in fields_of(model).values() if declared.head)
    return next(heads, None)


def owned(settings: dict[str, Declaration], head: str) -> dict[str, Declaration]:
    """Those of a block's settings that the word before its brace has.

    >>> from grainspec.model.settings.method import Method
    >>> list(owned(settings_of(Method), "dfvedit"))
    ['regions', 'reinforce', 'word_mask']
    """
    return {
        word: declared
        for word, declared in settings.items()
        if not declared.owners or head in declared.owners
    }


def describe_as_declared(schema: dict[str, Any], model: type[Node]) -> None:
    """Describe a model's properties in its JSON Schema as its declarations do, with the owners."""
    for declared in fields_of(model).values():
        schema["properties"][declared.key]["description"] = declared.description


def _with_owners(declared: Declaration, words: tuple[str, ...]) -> Declaration:
    """A declaration whose description names the owners, unless all of ``words`` have it."""
    if not declared.owners or set(declared.owners) == set(words):
        return declared
    names = ", ".join(f"`{owner}`" for owner in declared.owners)
    text = declared.description
    return declared._replace(description=f"For {names}: {text[:1].lower()}{text[1:]}")


def bounds_of(info: FieldInfo) -> tuple[float | None, float | None, bool]:
    """The lowest and the highest value of a field, and whether the lowest is excluded."""
    low: float | None = None
    high: float | None = None
    above = False
    for mark in _marks(info):
        if isinstance(mark, Ge):
            low = mark.ge  # type: ignore[assignment]
        elif isinstance(mark, Gt):
            low, above = mark.gt, True  # type: ignore[assignment]
        elif isinstance(mark, Le):
            high = mark.le  # type: ignore[assignment]
    return low, high, above


def _declaration(name: str, info: FieldInfo) -> Declaration:
    notes = [mark for mark in _marks(info) if isinstance(mark, InText)]
    keyword = next((note.keyword for note in notes if note.keyword), info.alias or name)
    plain, optional = _without_none(info.annotation)
    choices = tuple(map(str, get_args(plain))) if get_origin(plain) is Literal else ()
    kind = next((note.kind for note in notes if note.kind), "")
    if not kind:
        kind = "choice" if choices else KIND_OF_TYPE.get(getattr(plain, "__name__", ""), "")
    low, high, above = bounds_of(info)
    return Declaration(
        field=name,
        key=info.alias or name,
        keyword=keyword,
        kind=kind,
        choices=choices,
        low=low,
        high=high,
        above=above,
        default=None if info.default is PydanticUndefined else info.default,
        required=info.is_required(),
        optional=optional,
        head=any(note.head for note in notes),
        absent=next((note.absent for note in notes if note.absent), ""),
        owners=next((note.owners for note in notes if note.owners), ()),
        description=info.description or "",
    )


def _marks(info: FieldInfo) -> Iterator[Any]:
    """All metadata of a field and of the types inside its type, outermost first."""
    yield from _spread(info.metadata)
    yield from _inside(info.annotation)


def _inside(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        yield from _spread(marks)
        yield from _inside(inner)
    elif get_origin(annotation) is not Literal:
        for argument in get_args(annotation):
            yield from _inside(argument)


def _spread(marks: Any) -> Iterator[Any]:
    """The marks, and the bounds inside a nested ``Field(ge=…)``."""
    for mark in marks:
        yield mark
        yield from getattr(mark, "metadata", ())


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """Strip ``Annotated`` and ``| None`` from a type; also whether it had ``| None``."""
    optional = False
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, types.UnionType):
            kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
            optional = optional or len(kinds) < len(get_args(annotation))
            if len(kinds) > 1:
                return annotation, optional
            annotation = kinds[0]
        else:
            return annotation, optional

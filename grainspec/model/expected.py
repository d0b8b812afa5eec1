"""The values that a field takes, in words, for messages about invalid values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, get_args

from grainspec.model.declaration import Declaration, fields_of
from grainspec.model.nodes import Node
from grainspec.model.numbers import decimal_text

IN_PYTHON = {
    "whole": "a whole number{range}",
    "decimal": "a number{range}",
    "percent": "a number{range}",
    "choice": "{choices}",
    "text": "a text",
    "path": "a text",
    "flag": "true or false",
    "levels": '`"all"`, or a list of whole numbers{range}',
    "layers": '`"all"`, or a list of whole numbers{range} and ranges such as `"0..9"`',
    "frames": "the first and the last frame, such as `(0, 30)`",
    "size": "width and height, such as `(512, 512)`",
    "length": 'a length as text, such as `"12px"` or `"2%"`',
    "box": 'a box, such as `box("10%", "0%", "90%", "100%")`',
}
"""The values of each kind of setting in Python; ``{range}`` is the setting's range."""

IN_JSON = {
    **IN_PYTHON,
    "frames": "an object with `first` and `last`",
    "size": "an object with `width` and `height`",
    "length": "an object with `value` and `unit`",
    "box": "an object with `kind` and `keyframes`",
}
"""The values of each kind of setting in a JSON document."""


def expected_value(words: dict[str, str], declared: Declaration) -> str:
    """What a setting takes, from a table of kinds; empty for a kind that is not in the table.

    >>> from grainspec.model.settings.sampler import Sampler
    >>> expected_value(IN_PYTHON, fields_of(Sampler)["steps"])
    'a whole number from 1 to 1000'
    """
    choices = (choice if choice.isdigit() else f'"{choice}"' for choice in declared.choices)
    text = words.get(declared.kind, "")
    return text.format(range=range_words(declared), choices=one_of(choices))


def one_of(choices: Iterable[str]) -> str:
    """A list of choices in words, or the only choice."""
    quoted = [f"`{choice}`" for choice in choices]
    return f"one of {', '.join(quoted)}" if len(quoted) > 1 else "".join(quoted)


def range_words(declared: Declaration, show: Callable[[float], str] = decimal_text) -> str:
    """The range of a setting as `` from 0 to 4``; empty unless it is bounded on both sides."""
    if declared.low is None or declared.high is None:
        return ""
    low, high = limit_text(declared.low, show), limit_text(declared.high, show)
    return f" of more than {low} and at most {high}" if declared.above else f" from {low} to {high}"


def limit_text(limit: float, show: Callable[[float], str] = decimal_text) -> str:
    """A limit as text; whole ones keep all their digits."""
    return str(limit) if isinstance(limit, int) and show is decimal_text else show(limit)


def takes_shares(declared: Declaration) -> bool:
    """Whether `50%` surely means 0.5 for a setting: a number whose usual value is about 1."""
    return declared.kind == "percent" or (
        declared.kind == "decimal" and declared.high is not None and declared.high <= 10
    )


def in_range(declared: Declaration, value: float) -> bool:
    """Whether a number is in the range of a setting."""
    if declared.low is not None and (
        value < declared.low or (declared.above and value == declared.low)
    ):
        return False
    return declared.high is None or value <= declared.high


def declared_at(model: type[Node], path: Iterable[int | str]) -> Declaration | None:
    """The declaration of the field at a location inside a model; None if there is none.

    Pydantic's locations also contain indices and the kinds of records, which are skipped.

    >>> from grainspec.model.spec import EditSpec
    >>> declared = declared_at(EditSpec, ("edits", 0, "edit", "weight"))
    >>> declared.kind, declared.high
    ('decimal', 4.0)
    """
    models, declared = [model], None
    for part in path:
        if isinstance(part, int):
            continue
        fields = {
            key: (owner, field)
            for owner in models
            for field in fields_of(owner).values()
            for key in (field.key, field.field)
        }
        if part in fields:
            owner, declared = fields[part]
            models = list(_models_in(owner.model_fields[declared.field].annotation))
        else:
            models = [owner for owner in models if _has_kind(owner, part)]
            declared = declared if models or part in {"all", "levels", "layers"} else None
    return declared


def _has_kind(model: type[Node], kind: str) -> bool:
    return any(kind in field.choices for field in fields_of(model).values())


def _models_in(annotation: Any) -> Iterator[type[Node]]:
    """All models in a type, such as those of a union."""
    if isinstance(annotation, type) and issubclass(annotation, Node):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)

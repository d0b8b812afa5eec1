"""Pydantic's validation errors as findings, in the words of the language.

A value that a field does not take gives ``invalid value `two` for `step`: a whole number from 1``,
whether it comes from text, Python, JSON or ``--set``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from grainspec.diagnostics import Diagnostic, GrainError, closest, suggestion
from grainspec.diagnostics.span import Span, caller
from grainspec.model.declaration import Declaration, fields_of
from grainspec.model.expected import (
    IN_JSON,
    IN_PYTHON,
    declared_at,
    expected_value,
    in_range,
    limit_text,
    one_of,
    takes_shares,
)
from grainspec.model.nodes import Node
from grainspec.model.numbers import decimal_text, share_of_percent

MAX_FINDINGS = 1000
"""Mistakes that are described one by one; nobody reads more."""

Made = TypeVar("Made", bound=Node)
Path = tuple[int | str, ...]


class Written(NamedTuple):
    """How a value is written: its place, and its words in the language if it is from there."""

    span: Span | None = None
    name: str = ""
    """What messages call the setting; by default the field's name."""
    text: str = ""
    """The value as the user wrote it; by default as a literal."""
    expected: str = ""
    """What the setting takes; by default from its declaration."""


Locate = Callable[[Path], Written]
"""From the path of a field inside a model to how its value is written."""


class Door(NamedTuple):
    """How values are written in Python or in JSON."""

    name: Literal["argument", "key"]
    """The name of a setting, as an attribute of its declaration."""
    show: Callable[[Any], str]
    expected: dict[str, str]


def python_text(value: Any) -> str:
    """A value as it is written in Python, with texts in double quotes."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def _json_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=repr)


PYTHON = Door("argument", python_text, IN_PYTHON)
JSON = Door("key", _json_text, IN_JSON)

_PARTS = {"FrameRange": "frames", "Size": "size"}
"""Records that Python gives as pairs of numbers, by what messages call them."""


def made(model: type[Made], /, **fields: Any) -> Made:
    """Make a record in Python that knows the line that made it.

    Raises GrainError, with that line, for invalid values.
    """
    place = caller()
    try:
        return model(**fields).located(place)
    except ValidationError as error:
        # Not `from error`: pydantic's own words would bury ours.
        raise GrainError(findings_of(error, model, lambda _: Written(place))) from None


def refusal(code: str, message: str, cure: str, key: str = "") -> PydanticCustomError:
    """An error for a model's validator to raise; it is shown with this code, message and cure.

    ``key`` is the setting's, where the model is refused because of one: the finding's place.
    """
    context = {"code": code, "message": message, "cure": cure, "key": key}
    return PydanticCustomError(_REFUSAL, "{message}", context)


def unfit(code: str, expected: str, text: str = "", cure: str = "") -> PydanticCustomError:
    """An error for a field's validator to raise: the value is not what is ``expected``.

    ``text`` is the value in messages, if its literal in Python is not readable.
    """
    context = {"code": code, "expected": expected, "text": text, "cure": cure}
    return PydanticCustomError(_UNFIT, "{expected}", context)


def invalid_value(text: str, name: str, expected: str) -> str:
    """The message about a value that a setting does not take.

    >>> invalid_value("two", "step", "a whole number from 1")
    'invalid value `two` for `step`: a whole number from 1'
    """
    return f"invalid value `{short(text)}` for `{name}`: {expected}"


def short(text: str) -> str:
    """A text on one line, cut to 40 characters."""
    text = " ".join(text.split())
    return text if len(text) <= 40 else text[:37] + "…"


_REFUSAL = "grain_refusal"
_UNFIT = "grain_unfit"


def findings_of(
    error: ValidationError,
    model: type[Node] | None,
    locate: Locate,
    *,
    what: str = "",
    door: Door = PYTHON,
) -> list[Diagnostic]:
    """Return one finding for each field that ``model`` rejected.

    ``what`` names the value if the error is not about a field; by default it is the model's name.
    """
    what = what or (model.__name__.lower() if model else "value")
    return [
        _finding(_Rejected(detail, model, what, locate(_place(detail)), door))
        for detail in details_of(error)
    ]


def _place(detail: ErrorDetails) -> Path:
    """The path of what an error is about: a field, or the one that a whole model is refused for."""
    key = detail.get("ctx", {}).get("key") if detail["type"] == _REFUSAL else ""
    return (*detail["loc"], key) if key else detail["loc"]


def details_of(error: ValidationError) -> list[ErrorDetails]:
    """The errors, without lists that are too short only because their items are invalid.

    At most ``MAX_FINDINGS``.
    """
    details = error.errors()
    inner = {detail["loc"][:length] for detail in details for length in range(len(detail["loc"]))}
    found = [d for d in details if d["type"] != "too_short" or d["loc"] not in inner]
    return found[:MAX_FINDINGS]


class _Rejected(NamedTuple):
    """A value that a model rejected."""

    detail: ErrorDetails
    model: type[Node] | None
    what: str
    written: Written
    door: Door

    @property
    def kind(self) -> str:
        """Pydantic's kind of error."""
        return self.detail["type"]

    @property
    def value(self) -> Any:
        return self.detail["input"]

    @property
    def text(self) -> str:
        """The value as the user wrote it."""
        return self.written.text or self.door.show(self.value)

    @property
    def declared(self) -> Declaration | None:
        """The declaration of the field."""
        return declared_at(self.model, self.detail["loc"]) if self.model else None

    @property
    def name(self) -> str:
        """What messages call the field."""
        if self.written.name:
            return self.written.name
        path = [part for part in self.detail["loc"] if isinstance(part, str)]
        declared = self.declared
        if self.model and len(path) == 1 and self.model.__name__ in _PARTS:
            return f"{_PARTS[self.model.__name__]} ({path[0]})"
        if self.model and len(path) == 1 and self.model.__name__ == "Length":
            return "length"
        if declared:
            return str(getattr(declared, self.door.name))
        return path[-1].rstrip("_") if path else self.what

    @property
    def key(self) -> str:
        """The field as the user wrote it."""
        return str(self.detail["loc"][-1])

    def invalid(self, code: str, expected: str) -> Diagnostic:
        """The finding that the value is not what is expected."""
        declared = self.declared
        spoken = expected_value(self.door.expected, declared) if declared else ""
        expected = self.written.expected or spoken or expected
        cure = "" if self.written.expected else _cure(self.value, declared, self.door, self.kind)
        message = invalid_value(self.text, self.name, expected)
        return Diagnostic(code, message, cure, self.written.span)


def _finding(rejected: _Rejected) -> Diagnostic:
    kind, context = rejected.kind, rejected.detail.get("ctx", {})
    name, span = rejected.name, rejected.written.span
    if kind == _REFUSAL:
        return Diagnostic(context["code"], context["message"], context["cure"], span)
    if kind == _UNFIT:
        text = rejected.written.text or context["text"] or rejected.text
        message = invalid_value(text, name, context["expected"])
        return Diagnostic(context["code"], message, context["cure"], span)
    for side, words in _SIDES.items():
        if side in context:
            return rejected.invalid("G203", f"{words} {limit_text(context[side])}")
    if kind == "finite_number":
        return rejected.invalid("G203", "a finite number")
    if kind == "literal_error":
        return rejected.invalid("G202", context["expected"])
    if kind == "model_type":
        expected = "an object" if rejected.door is JSON else f"a `{context['class_name']}`"
        return rejected.invalid("G202", expected)
    if kind in _EXPECTED:
        return rejected.invalid("G202", _EXPECTED[kind])
    if kind == "union_tag_invalid":
        tag, choices = context["discriminator"].strip("'"), context["expected_tags"]
        choices = [choice.strip("' ") for choice in choices.split(",")]
        shown = rejected.door.show(context["tag"])
        message = invalid_value(shown, tag, one_of(f'"{choice}"' for choice in choices))
        return Diagnostic("G202", message, _nearest(context["tag"], choices, rejected.door), span)
    if kind == "union_tag_not_found":
        tag = context["discriminator"].strip("'")
        return Diagnostic("G204", f"`{tag}` is missing", "", span)
    if kind == "missing":
        return Diagnostic("G204", f"`{name}` is missing", "", span)
    if kind == "extra_forbidden":
        return Diagnostic("G201", f"unknown setting `{rejected.key}`", _known(rejected), span)
    if kind == "value_error":
        return Diagnostic("G202", str(context["error"]), "", span)
    return _of_length(rejected) or Diagnostic(
        "G202", f"`{name}`: {rejected.detail['msg']}", "", span
    )


def _of_length(rejected: _Rejected) -> Diagnostic | None:
    """The finding about a text or list that is too short or too long."""
    context, name, span = rejected.detail.get("ctx", {}), rejected.name, rejected.written.span
    if rejected.kind == "string_too_short":
        return Diagnostic("G203", f"`{name}` is empty", "Write at least one character.", span)
    if rejected.kind == "string_too_long":
        limit = context["max_length"]
        return Diagnostic("G203", f"`{name}` has more than {limit} characters", "Shorten it.", span)
    if rejected.kind == "too_short":
        least, there = context["min_length"], context["actual_length"]
        message = f"`{name}` has {there} items" if there > 1 else f"`{name}` has one item"
        message = message if there else f"`{name}` is empty"
        return Diagnostic("G203", message, f"Give at least {least}.".replace(" 1.", " one."), span)
    if rejected.kind == "too_long":
        message = f"`{name}` has more than {context['max_length']} items"
        return Diagnostic("G203", message, "Remove the others.", span)
    return None


_EXPECTED = {
    "float_parsing": "a number",
    "float_type": "a number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "a text",
    "tuple_type": "a list",
    "model_attributes_type": "an object",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
}
"""What is expected if the field declares no kind, by pydantic's kinds of errors."""

_SIDES = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


# --- cures -----------------------------------------------------------------------------------


def _cure(value: Any, declared: Declaration | None, door: Door, kind: str) -> str:
    """What to write instead of a value in Python or JSON; empty if that is not certain."""
    if declared is None:
        return ""
    if isinstance(value, str):
        if declared.choices:
            return _nearest(value, declared.choices, door)
        number = number_in(value.strip(), declared)
        if not number:
            return ""
        return f"Write `{number}`." if "%" in value else f"Write `{number}`, without quotes."
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if declared.kind == "length" and door is PYTHON and value >= 0:
        return f'Write `"{decimal_text(value)}px"` or `"{decimal_text(value)}%"`.'
    if declared.kind in _WHOLE and float(value).is_integer() and in_range(declared, value):
        return f"Write `[{int(value)}]`." if kind == "tuple_type" else f"Write `{int(value)}`."
    if declared.kind == "percent" and 2 <= value <= 100:
        return f"For {decimal_text(value)}% write `{decimal_text(value / 100)}`."
    return ""


_WHOLE = ("whole", "levels", "layers")
_NUMERIC = (*_WHOLE, "decimal", "percent")


def number_in(text: str, declared: Declaration) -> str:
    """The number that a text holds, if the setting takes it: ``"20"`` is 20, ``"50%"`` is 0.5."""
    if declared.kind not in _NUMERIC or not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)%?", text):
        return ""
    if text.endswith("%"):
        if not takes_shares(declared):
            return ""
        text = decimal_text(share_of_percent(text))
    if declared.kind in _WHOLE and "." in text:
        return ""
    return text if in_range(declared, float(text)) else ""


def _known(rejected: _Rejected) -> str:
    """The setting that an unknown one stands for, or the known ones."""
    if rejected.model is None or len(rejected.detail["loc"]) > 1:
        return suggestion(rejected.key, [])
    fields, word = fields_of(rejected.model).values(), rejected.key.rstrip("_")
    names = [str(getattr(field, rejected.door.name)) for field in fields]
    for name, field in zip(names, fields, strict=True):
        if word in (field.field, field.key, field.keyword):  # `from_`, for `start`
            return f"Write `{name}`."
    return suggestion(rejected.key, names)


def _nearest(word: Any, choices: Iterable[str], door: Door) -> str:
    near = closest(str(word), choices)
    return f"Did you mean `{door.show(near)}`?" if near else ""

"""Pydantic's validation errors as findings, in the words of the language."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import isfinite
from typing import Any, TypeGuard, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from grainspec.diagnostics import Diagnostic, GrainError, suggestion
from grainspec.diagnostics.span import Span, caller
from grainspec.model.declaration import bounds_of
from grainspec.model.nodes import Node
from grainspec.model.numbers import decimal_text

Made = TypeVar("Made", bound=Node)
Locate = Callable[[tuple[int | str, ...]], Span | None]
"""From the path of a field inside a model to where it is written."""

_COORDINATES = frozenset({"first", "last", "width", "height", "x0", "y0", "x1", "y1", "value"})


def made(model: type[Made], /, **fields: Any) -> Made:
    """A record made in Python, which knows the line that made it.

    Raises GrainError, with that line, for invalid values.
    """
    place = caller()
    try:
        return model(**fields).located(place)
    except ValidationError as error:
        # Not `from error`: pydantic's own words would bury ours.
        raise GrainError(findings_of(error, model, lambda _: place)) from None


def refusal(code: str, message: str, cure: str) -> PydanticCustomError:
    """An error for a model's own validator to raise: it is shown with this code and cure."""
    return PydanticCustomError(
        _REFUSAL, "{message}", {"code": code, "message": message, "cure": cure}
    )


_REFUSAL = "grain_refusal"


def findings_of(
    error: ValidationError,
    model: type[BaseModel] | None,
    locate: Locate,
    *,
    what: str = "",
) -> list[Diagnostic]:
    """One finding for each field that ``model`` rejected.

    ``what`` names the value where the field's own name says little; by default the model's name.
    """
    what = what or (model.__name__.lower() if model else "value")
    return [_finding(detail, model, what, locate(detail["loc"])) for detail in details_of(error)]


def details_of(error: ValidationError) -> list[ErrorDetails]:
    """The errors, without lists that are too short only because their items are invalid."""
    details = error.errors()
    inner = {detail["loc"][:length] for detail in details for length in range(len(detail["loc"]))}
    return [d for d in details if d["type"] != "too_short" or d["loc"] not in inner]


def _finding(
    detail: ErrorDetails, model: type[BaseModel] | None, what: str, span: Span | None
) -> Diagnostic:
    path = [str(part).rstrip("_") for part in detail["loc"] if not isinstance(part, int)]
    name = path[-1] if path else what
    value = detail["input"]
    if path[-2:] == ["levels", "all"]:  # neither the word nor numbers
        message = f"`levels` is {_shown(value)}"
        return Diagnostic("G202", message, "Expected `all`, or a list of level numbers.", span)
    if name in _COORDINATES:
        name = what if name == "value" else f"{what} ({name})"
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == _REFUSAL:
        return Diagnostic(context["code"], context["message"], context["cure"], span)
    bounds = [f"{side} {_shown(context[key])}" for key, side in _SIDES.items() if key in context]
    if bounds:
        allowed = _range(model, str(detail["loc"][0])) if model and path else ""
        cure = f"It must be {allowed or bounds[0]}."
        return Diagnostic("G203", f"`{name}` is {_shown(value)}", cure, span)
    if kind == "finite_number":
        return Diagnostic("G203", f"`{name}` is {_shown(value)}", "It must be finite.", span)
    if kind == "string_too_short":
        return Diagnostic("G203", f"`{name}` is empty", "Write at least one character.", span)
    if kind == "too_short":
        least, there = context["min_length"], context["actual_length"]
        message = f"`{name}` has {there}" if there else f"`{name}` is empty"
        return Diagnostic("G203", message, f"Give at least {least}.".replace(" 1.", " one."), span)
    if kind == "string_too_long":
        limit = context["max_length"]
        return Diagnostic("G203", f"`{name}` has more than {limit} characters", "Shorten it.", span)
    if kind == "value_error":
        return Diagnostic("G202", str(context["error"]), "", span)
    if kind == "extra_forbidden":
        fields = model.model_fields.items() if model and len(detail["loc"]) == 1 else ()
        cure = suggestion(str(detail["loc"][-1]), [info.alias or field for field, info in fields])
        return Diagnostic("G201", f"unknown setting `{detail['loc'][-1]}`", cure, span)
    if kind in _EXPECTED and _is_number(value):
        message = f'invalid value `"{_shown(value)}"` for `{name}`: a text, not a number'
        return Diagnostic("G202", message, f"Write `{value.strip()}`, without quotes.", span)
    if kind in _EXPECTED:
        plain = isinstance(value, str | int | float)
        value = repr(value) if kind == "int_type" and isinstance(value, float) else value  # 20.0
        message = f"`{name}` is {_shown(value) if plain else 'a ' + type(value).__name__}"
        return Diagnostic("G202", message, f"Expected {_EXPECTED[kind]}.", span)
    if kind == "literal_error":
        cure = f"Expected {context['expected']}."
        return Diagnostic("G202", f"`{name}` is {_shown(value)}", cure, span)
    if kind == "union_tag_not_found":
        tag = context["discriminator"].strip("'")
        return Diagnostic("G204", f"`{tag}` is missing", "", span)
    if kind == "union_tag_invalid":
        tag, found = context["discriminator"].strip("'"), context["tag"]
        cure = f"It must be one of {context['expected_tags']}."
        return Diagnostic("G202", f"`{tag}` is {_shown(found)}", cure, span)
    if kind == "missing":
        return Diagnostic("G204", f"`{name}` is missing", "", span)
    return Diagnostic("G202", f"`{name}`: {detail['msg']}", "", span)


_EXPECTED = {
    "float_parsing": "a number, such as 0.5",
    "float_type": "a number, such as 0.5",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "a text",
    "tuple_type": "a list",
    "model_type": "a box, such as `box(…)`, or another record of grainspec",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
}
"""What is expected, for each of pydantic's own kinds of errors."""
_SIDES = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def _range(model: type[BaseModel], field: str) -> str:
    """``"from 0 to 4"``, where the model bounds the field on both sides."""
    for name, info in model.model_fields.items():
        if field in {name, info.alias}:
            low, high, above = bounds_of(info)
            if low is not None and high is not None:
                pattern = "more than {} and at most {}" if above else "from {} to {}"
                return pattern.format(_shown(low), _shown(high))
    return ""


def _shown(value: Any) -> str:
    text = decimal_text(value) if isinstance(value, float) and isfinite(value) else str(value)
    return text if len(text) <= 40 else text[:37] + "…"


def _is_number(value: Any) -> TypeGuard[str]:
    """Whether a value is a text that has nothing but a number in it."""
    return isinstance(value, str) and bool(re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)\s*", value))

"""What the models refuse, said in the words of the language."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from math import isfinite
from typing import Any, TypeGuard, TypeVar, get_args

from annotated_types import Ge, Le
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from grainspec.diagnostics import Diagnostic, GrainError, suggestion
from grainspec.diagnostics.span import Span, caller
from grainspec.model.nodes import Node
from grainspec.model.numbers import decimal_text

Made = TypeVar("Made", bound=Node)
Locate = Callable[[tuple[int | str, ...]], Span | None]
"""From the path of a field inside a model to where it was written."""

_COORDINATES = frozenset({"first", "last", "width", "height", "x0", "y0", "x1", "y1", "value"})


def made(model: type[Made], /, **fields: Any) -> Made:
    """A record made in Python, which knows the line it was made in.

    Raises GrainError, with that line, for what its model refuses.
    """
    place = caller()
    try:
        return model(**fields).located(place)
    except ValidationError as error:
        # Not `from error`: pydantic's own words would bury ours.
        raise GrainError(findings_of(error, model, lambda _: place)) from None


def refusal(code: str, message: str, cure: str) -> PydanticCustomError:
    """What a model's own validator raises to be shown under a code and with a cure."""
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
    """One finding per field that ``model`` refused.

    ``what`` names the value where the field's own name says little; the model's by default.
    """
    what = what or (model.__name__.lower() if model else "value")
    return [_finding(detail, model, what, locate(detail["loc"])) for detail in details_of(error)]


def details_of(error: ValidationError) -> list[ErrorDetails]:
    """What was refused, without lists that are too short only because their items were refused."""
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
        return Diagnostic("G202", message, "Expected `all`, or numbers of levels.", span)
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
        return Diagnostic("G203", f"`{name}` is empty", "Write at least one letter.", span)
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
        return Diagnostic("G201", f"`{detail['loc'][-1]}` is no setting here", cure, span)
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
    "float_parsing": "a number, as 0.5",
    "float_type": "a number, as 0.5",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "string_type": "a text",
    "tuple_type": "several in a row",
    "model_type": "a box, as `box(…)`, or another record of grainspec's",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
}
"""What to say for pydantic's own kinds of refusals."""
_SIDES = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def _range(model: type[BaseModel], field: str) -> str:
    """``"from 0 to 4"``, where the model bounds the field on both sides."""
    for name, info in model.model_fields.items():
        if field in {name, info.alias}:
            limits = [*info.metadata, *_limits(info.annotation)]
            low = next((limit.ge for limit in limits if isinstance(limit, Ge)), None)
            high = next((limit.le for limit in limits if isinstance(limit, Le)), None)
            if low is not None and high is not None:
                return f"from {_shown(low)} to {_shown(high)}"
    return ""


def _limits(annotation: Any) -> Iterator[Any]:
    """Bounds anywhere inside an annotation, such as ``Annotated[float, Ge(0)] | None``."""
    for argument in get_args(annotation):
        if isinstance(argument, Ge | Le):
            yield argument
        elif hasattr(argument, "metadata"):  # pydantic's FieldInfo
            yield from argument.metadata
        else:
            yield from _limits(argument)


def _is_number(value: Any) -> TypeGuard[str]:
    """Whether a value is a text that has nothing but a number in it."""
    return isinstance(value, str) and bool(re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)\s*", value))


def _shown(value: Any) -> str:
    text = decimal_text(value) if isinstance(value, float) and isfinite(value) else str(value)
    return text if len(text) <= 40 else text[:37] + "…"

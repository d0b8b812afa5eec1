"""The base of every part of a spec: an immutable record that may know where it was written."""

from __future__ import annotations

from collections.abc import Mapping
from keyword import iskeyword
from numbers import Integral, Real
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, PrivateAttr, model_validator

from grainspec.diagnostics.span import Span


class Node(BaseModel):
    """Base of all records of a spec: frozen, strict about fields and types, compared by content.

    Values are not converted: ``"20"`` and ``True`` are not numbers. Three conversions are lossless
    and therefore allowed: int to float, list or range to tuple, and NumPy's numbers to Python's.

    The place where a node was written is not part of its content: specs with the same content are
    equal, whether they come from text, JSON or Python.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True
    )

    _spans: Mapping[str, Span] | None = PrivateAttr(default=None)
    """None, not an empty mapping: a long text has a hundred thousand nodes."""

    @model_validator(mode="before")
    @classmethod
    def _plain_types(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        return {name: _plain(value) for name, value in fields.items()}

    def located(self, span: Span | None, /, **fields: Span) -> Self:
        """Return this node after storing its span and the spans of some of its fields."""
        spans = {**(self._spans or {}), **fields}
        if span is not None:
            spans[""] = span
        self._spans = spans
        return self

    def replaced(self, spans: Mapping[str, Span], /, **fields: Any) -> Self:
        """A copy with some fields replaced by valid values; ``spans`` adds places."""
        node = self.model_copy(update=fields)
        node._spans = {**(self._spans or {}), **spans}
        return node

    @property
    def spans(self) -> Mapping[str, Span]:
        """The known places of the node's fields."""
        return {field: span for field, span in (self._spans or {}).items() if field}

    @property
    def span(self) -> Span | None:
        """Where the node was written, if known."""
        return (self._spans or {}).get("")

    def span_of(self, field: str) -> Span | None:
        """Where a field was written, by its name or alias; if unknown, where the node was."""
        spans, info = self._spans or {}, type(self).model_fields.get(field)
        alias = info.alias if info else None
        return spans.get(field) or spans.get(alias or field) or self.span

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr_args__(self) -> Any:
        """Only the fields that differ from their defaults, as arguments that make the node."""
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if value != field.get_default(call_default_factory=True) or field.is_required():
                key = field.alias or name
                yield (None, _Spread({key: value})) if iskeyword(key) else (key, value)


def given(node: Node) -> dict[str, Any]:
    """The settings of a node that are not None."""
    return {name: value for name, value in node if value is not None}


class _Spread(dict[str, Any]):
    """Arguments whose names Python reserves, such as ``from``."""

    def __repr__(self) -> str:
        return f"**{super().__repr__()}"


def _plain(value: Any) -> Any:
    """Convert lists and ranges to tuples and NumPy's numbers to Python's, as the models require."""
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple | range):
        return tuple(map(_plain, value))
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else value

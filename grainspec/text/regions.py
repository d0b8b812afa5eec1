"""Region expressions: from a parse tree to the records of a spec."""

from __future__ import annotations

from lark import Token, Tree

from grainspec.diagnostics import Diagnostic, suggestion
from grainspec.diagnostics.span import Span
from grainspec.model.algebra import (
    All,
    Complement,
    Difference,
    During,
    Expression,
    Grown,
    Intersection,
    Reference,
    Rest,
    Smoothed,
    Union,
)
from grainspec.model.declaration import fields_of
from grainspec.text.records import token_of
from grainspec.text.settings import Setting, value_of, word_span
from grainspec.text.shapes import SHAPES
from grainspec.text.spans import span_of
from grainspec.text.tracked import TrackedReader

_SOURCES = ("masks", *SHAPES, "track", "find")
_PLAIN: dict[str, type[Rest | All]] = {"rest": Rest, "all": All}
_OPERATORS: dict[str, type[Union | Intersection | Difference]] = {
    "union": Union,
    "intersection": Intersection,
    "difference": Difference,
}


class RegionReader(TrackedReader):
    """Reads expressions and settings; a mistake becomes a finding, and its value None."""

    def expression(self, part: Tree[Token] | Token) -> Expression | None:
        """A region expression."""
        if not isinstance(part, Tree):
            raise TypeError(part)
        kind = str(part.data)
        span = word_span(part)
        if kind in _PLAIN:
            return _PLAIN[kind]()
        if kind == "reference":
            name = token_of(part.children[0])
            where = span_of(name)
            return self.make(Reference, where, {"name": Setting(str(name), where)})
        if kind == "call":
            return self._source(part)
        if kind == "keyframes":
            shapes: list[tuple[Token | None, Tree[Token]]] = []
            for keyframe in part.children:
                call, frame = keyframe.children  # type: ignore[union-attr]
                shapes.append((token_of(frame), call))  # type: ignore[arg-type]
            return self.shape(shapes, span)
        if kind in {"grown", "during", "smoothed"}:
            return self._modified(part, span)
        operands = [self.expression(child) for child in part.children]
        items = tuple(operand for operand in operands if operand is not None)
        if len(items) < len(operands):
            return None
        if kind == "complement":
            return Complement(of=items[0]).located(span)
        return _OPERATORS[kind](items=items).located(span)

    def _modified(self, part: Tree[Token], span: Span) -> Expression | None:
        """A region with a modifier: grown, shrunk, smoothed, or only on some frames."""
        of = self.expression(part.children[0])
        if of is None:
            return None
        if str(part.data) == "grown":
            kind, by = (token_of(child) for child in part.children[1:])
            length = self.word_length(by)
            if length is None:
                return None
            return self.make(Grown, span, {}, kind=str(kind), of=of, by=length)
        model = Smoothed if str(part.data) == "smoothed" else During
        word = "smooth" if model is Smoothed else "during"
        frames = value_of([part.children[1]], word, fields_of(model)["frames"])
        if isinstance(frames, Diagnostic):
            self.findings.append(frames)
            return None
        return self.make(model, span, {"frames": frames}, of=of)

    def _source(self, call: Tree[Token]) -> Expression | None:
        name = str(call.children[0])
        if name == "masks":
            return self.masks(call)
        if name == "track":
            return self.track(call)
        if name == "find":
            return self.find(call)
        if name in SHAPES:
            return self.shape([(None, call)], word_span(call))
        where = span_of(token_of(call.children[0]))
        self.add_finding(
            "G205", f"unknown region source `{name}`", suggestion(name, _SOURCES), where
        )
        return None

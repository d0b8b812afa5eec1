"""The mutation operators: for every node of a tree, the texts that may stand in its place.

What is not mutated: annotations and type aliases, decorators, `__all__`, imports, blocks for type
checkers, strings, f-strings, the arguments of exceptions and findings (messages), assertions, and
`strict=` and `copy=`, which matter only where something else is wrong, or to speed.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from source import Source, Span


class Edit(NamedTuple):
    """A text to put in place of a range of bytes, and the name of the operator.

    Edits with the same ``place`` are variants of each other, of which a draw takes one.
    """

    span: Span
    text: str
    operator: str
    place: Span


ARITHMETIC = {"+": "-", "-": "+", "*": "//", "/": "*", "//": "/", "%": "//", "**": "*"}
BITS = {"&": "|", "|": "&", "^": "|", "<<": ">>", ">>": "<<"}
COMPARISONS = {
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "==": ("!=",),
    "!=": ("==",),
    "in": ("not in",),
    "not in": ("in",),
    "is": ("is not",),
    "is not": ("is",),
}
SIGNS: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.And: "and",
    ast.Or: "or",
}
_OPPOSITES = (
    ("min", "max"),
    ("any", "all"),
    ("argmin", "argmax"),
    ("minimum", "maximum"),
    ("floor", "ceil"),
    ("logical_and", "logical_or"),
    ("bitwise_and", "bitwise_or"),
    ("startswith", "endswith"),
    ("lstrip", "rstrip"),
    ("darker", "lighter"),
)
OPPOSITES = {a: b for pair in _OPPOSITES for a, b in (pair, pair[::-1])}

SYMMETRIC = frozenset(
    "min max minimum maximum union1d intersect1d isclose logical_and logical_or gcd lcm darker "
    "lighter isinstance issubclass".split()
)
"""Functions whose arguments can be swapped without effect, or whose second is a type."""

SILENT_CALLS = frozenset("fail Diagnostic GrainError cast lru_cache TypeVar NewType".split())
MESSAGES = frozenset({"message", "cure"})
SILENT_KEYWORDS = frozenset({"strict", "copy"})

DEFAULTS = {"bool": ("True", "False"), "int": ("0",), "float": ("0.0",), "str": ('""',)}
"""What a function with this annotation may return instead."""
_CONTAINERS = {
    "list": "[]",
    "dict": "{}",
    "tuple": "()",
    "set": "set()",
    "frozenset": "frozenset()",
}


def edits(source: Source) -> Iterator[Edit]:
    """All edits of a module, in the order of the tree."""
    yield from _Walk(source).of(source.tree)


class _Walk:
    """A walk through a tree; ``returns`` is the annotation of the function around a node."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.returns = ""

    def edit(self, place: ast.expr | ast.stmt | Span, text: str, operator: str) -> Edit:
        span = place if isinstance(place, tuple) else self.source.span(place)
        return Edit(span, text, operator, span)

    def of(self, node: ast.AST) -> Iterator[Edit]:
        if isinstance(node, ast.stmt):
            yield from self._deleted(node)
        yield from _EDITS.get(type(node), _none)(self, node)
        outer = self.returns
        if isinstance(node, ast.FunctionDef):
            self.returns = ast.unparse(node.returns) if node.returns else ""
        for child in _children(node):
            yield from self.of(child)
        self.returns = outer

    def _deleted(self, node: ast.stmt) -> Iterator[Edit]:
        """Statements with an effect; what only binds a new name would be missed at once."""
        if isinstance(node, ast.Expr):
            value = node.value
            if isinstance(value, ast.Yield | ast.YieldFrom):
                yield self.edit(node, "yield from ()", "deletion")
            elif not isinstance(value, ast.Constant):
                yield self.edit(node, "pass", "deletion")
        elif isinstance(node, ast.Assign):
            if not any(isinstance(target, ast.Name | ast.Tuple) for target in node.targets):
                yield self.edit(node, "pass", "deletion")
        elif isinstance(node, ast.AugAssign | ast.Raise | ast.Delete) and not _is_message(node):
            yield self.edit(node, "pass", "deletion")

    def binary(self, node: ast.BinOp) -> Iterator[Edit]:
        if not (_is_string(node.left) or _is_string(node.right)):
            yield from self._sign(
                node.op, self.source.span(node.left), self.source.span(node.right)
            )

    def augmented(self, node: ast.AugAssign) -> Iterator[Edit]:
        if not (_is_message(node) or _is_string(node.value)):
            left, right = self.source.span(node.target), self.source.span(node.value)
            yield from self._sign(node.op, left, right, "=")

    def _sign(self, op: ast.operator, left: Span, right: Span, more: str = "") -> Iterator[Edit]:
        sign = SIGNS.get(type(op), "")
        span = self.source.operator([sign + more], left[1], right[0])
        for name, table in (("arithmetic", ARITHMETIC), ("bits", BITS)):
            if span and sign in table:
                yield self.edit(span, table[sign] + more, name)

    def comparison(self, node: ast.Compare) -> Iterator[Edit]:
        places = [self.source.span(side) for side in (node.left, *node.comparators)]
        for op, (left, right) in zip(node.ops, pairwise(places), strict=True):
            sign = SIGNS[type(op)]
            span = self.source.operator(sign.split(), left[1], right[0])
            if span:
                for other in COMPARISONS[sign]:
                    yield self.edit(span, other, "comparison")

    def boolean(self, node: ast.BoolOp) -> Iterator[Edit]:
        sign = SIGNS[type(node.op)]
        for left, right in pairwise(map(self.source.span, node.values)):
            span = self.source.operator([sign], left[1], right[0])
            if span:
                yield self.edit(span, "or" if sign == "and" else "and", "boolean")

    def unary(self, node: ast.UnaryOp) -> Iterator[Edit]:
        start, _ = self.source.span(node)
        kinds: dict[type[ast.AST], tuple[int, str]] = {
            ast.USub: (1, "arithmetic"),
            ast.Not: (3, "boolean"),
            ast.Invert: (1, "bits"),
        }
        if type(node.op) in kinds:
            size, name = kinds[type(node.op)]
            yield self.edit((start, start + size), "", name)

    def constant(self, node: ast.Constant) -> Iterator[Edit]:
        span, value = self.source.span(node), node.value
        if isinstance(value, bool):
            yield self.edit(span, str(not value), "constant")
        elif isinstance(value, int):
            yield from (self.edit(span, str(value + more), "constant") for more in (1, -1))
        elif isinstance(value, float):
            yield self.edit(span, repr(value + 1), "constant")
            yield self.edit(span, repr(value / 2 if value else -1.0), "constant")

    def slice(self, node: ast.Slice) -> Iterator[Edit]:
        for bound in (node.lower, node.upper):
            if bound is not None and not (isinstance(bound, ast.Constant) and bound.value == 0):
                yield self.edit(bound, "", "slice")

    def returned(self, node: ast.Return) -> Iterator[Edit]:
        if node.value is None or isinstance(node.value, ast.Constant):
            return
        parts = [part.strip() for part in self.returns.split("|")]
        texts = list(DEFAULTS.get(parts[0], ()))
        texts += [_CONTAINERS[kind] for kind in [parts[0].split("[")[0]] if kind in _CONTAINERS]
        texts += ["None"] if "None" in parts else []
        for text in texts:
            if text != self.source.text(node.value):
                yield self.edit(node.value, text, "return")

    def leaving(self, node: ast.Break | ast.Continue) -> Iterator[Edit]:
        other = "continue" if isinstance(node, ast.Break) else "break"
        for text in (other, "pass"):
            yield self.edit(node, text, "loop")

    def condition(self, node: ast.If | ast.IfExp) -> Iterator[Edit]:
        if not _for_type_checkers(node):
            yield from self._decided(node.test, ("True", "False"))

    def loop(self, node: ast.While) -> Iterator[Edit]:
        yield from self._decided(node.test, ("False",))

    def filter(self, node: ast.comprehension) -> Iterator[Edit]:
        for test in node.ifs:
            yield from self._decided(test, ("True", "False"))

    def _decided(self, test: ast.expr, values: tuple[str, ...]) -> Iterator[Edit]:
        binds = any(isinstance(part, ast.NamedExpr) for part in ast.walk(test))
        if not isinstance(test, ast.Constant) and not binds:
            for value in values:
                yield self.edit(test, value, "condition")

    def name(self, node: ast.Name) -> Iterator[Edit]:
        if node.id in OPPOSITES and isinstance(node.ctx, ast.Load):
            yield self.edit(node, OPPOSITES[node.id], "opposite")

    def attribute(self, node: ast.Attribute) -> Iterator[Edit]:
        _, end = self.source.span(node)
        if node.attr in OPPOSITES:
            yield self.edit((end - len(node.attr), end), OPPOSITES[node.attr], "opposite")

    def call(self, node: ast.Call) -> Iterator[Edit]:
        if _called(node) in SYMMETRIC | SILENT_CALLS:
            return
        for first, second in pairwise(node.args):
            swapped = self.source.text(second), self.source.text(first)
            if type(first) is not type(second) or isinstance(first, ast.Starred):
                continue  # a type checker would find most of these
            if swapped[0] == swapped[1]:
                continue
            (start, end), (again, last) = self.source.span(first), self.source.span(second)
            between = self.source.data[end:again].decode()
            yield Edit((start, last), between.join(swapped), "swap", self.source.span(node))


_EDITS: dict[type[ast.AST], Callable[[_Walk, Any], Iterator[Edit]]] = {
    ast.Attribute: _Walk.attribute,
    ast.AugAssign: _Walk.augmented,
    ast.BinOp: _Walk.binary,
    ast.BoolOp: _Walk.boolean,
    ast.Break: _Walk.leaving,
    ast.Call: _Walk.call,
    ast.Compare: _Walk.comparison,
    ast.Constant: _Walk.constant,
    ast.Continue: _Walk.leaving,
    ast.If: _Walk.condition,
    ast.IfExp: _Walk.condition,
    ast.Name: _Walk.name,
    ast.Return: _Walk.returned,
    ast.Slice: _Walk.slice,
    ast.UnaryOp: _Walk.unary,
    ast.While: _Walk.loop,
    ast.comprehension: _Walk.filter,
}


def _none(walk: _Walk, node: ast.AST) -> Iterator[Edit]:
    return iter(())


def _children(node: ast.AST) -> list[ast.AST]:
    """The parts of a node that may be mutated."""
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Raise() | ast.Assert() | ast.JoinedStr():
            return []
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return [*node.args.defaults, *filter(None, node.args.kw_defaults), *node.body]
        case ast.Lambda():
            return [*node.args.defaults, *filter(None, node.args.kw_defaults), node.body]
        case ast.ClassDef():
            return [*node.body]
        case ast.AnnAssign():
            return [node.value] if node.value else []
        case ast.If() if _for_type_checkers(node):
            return [*node.orelse]
        case ast.Assign() | ast.AugAssign() if _is_message(node) or _is_alias(node):
            return []
        case ast.Call():
            if _called(node) in SILENT_CALLS:
                return []
            args = node.args[:1] if _called(node) in {"isinstance", "issubclass"} else node.args
            values = [word.value for word in node.keywords if word.arg not in SILENT_KEYWORDS]
            return [node.func, *args, *values]
    return list(ast.iter_child_nodes(node))


def _for_type_checkers(node: ast.If | ast.IfExp) -> bool:
    return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _called(node: ast.Call) -> str:
    """The last name of a called function."""
    return ast.unparse(node.func).rpartition(".")[2]


def _is_string(node: ast.expr) -> bool:
    literal = isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    return literal or isinstance(node, ast.JoinedStr)


def _is_message(node: ast.AST) -> bool:
    """Whether a statement binds a message's text, or the list of a module's names."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return any(isinstance(t, ast.Name) and t.id in {*MESSAGES, "__all__"} for t in targets)


_TYPES = ast.Name | ast.Attribute | ast.Subscript | ast.Tuple | ast.List | ast.BinOp | ast.Constant


def _is_alias(node: ast.AST) -> bool:
    """Whether a statement names a type, such as ``Span = tuple[int, int] | None``."""
    if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
        return False
    name, value = node.targets[0].id, node.value
    parts = [part for part in ast.walk(value) if isinstance(part, ast.expr)]
    typed = isinstance(value, ast.Subscript | ast.BinOp) and isinstance(node.value, _TYPES)
    return (
        typed
        and name[:1].isupper()
        and not name.isupper()
        and all(isinstance(part, _TYPES) for part in parts)
    )

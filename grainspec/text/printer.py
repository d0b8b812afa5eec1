"""Spec to text: the canonical form, one statement per line, without default values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from grainspec.expect import expect_spec
from grainspec.model.algebra import (
    All,
    Box,
    Complement,
    Difference,
    During,
    Expression,
    Find,
    Grown,
    Intersection,
    MaskFiles,
    Polygon,
    Prompt,
    Reference,
    Rest,
    Smoothed,
    Track,
)
from grainspec.model.algebra import Union as UnionOf
from grainspec.model.declaration import head_of, settings_of
from grainspec.model.nodes import Node
from grainspec.model.spec import BLOCKS, DEMO, Change, Edit, EditSpec, Variant
from grainspec.text.format import format_text
from grainspec.text.kinds import KINDS, quoted, range_text, shape_text

# Precedence of operators, lowest first; the same order as in the grammar.
_UNION, _INTERSECTION, _DIFFERENCE, _TERM, _ATOM = range(5)


def dumps(spec: EditSpec) -> str:
    """The canonical text of a spec; parsing it gives the same spec back.

    >>> from grainspec import dumps, parse
    >>> text = 'grain 1 video "c.mp4" target "a bear" region r=~(rest) edit r->"bear"{weight 1.50}'
    >>> print(dumps(parse(text)))
    grain 1
    <BLANKLINE>
    video "c.mp4"
    <BLANKLINE>
    target "a bear"
    <BLANKLINE>
    region r = ~rest
    <BLANKLINE>
    edit r -> "bear" { weight 1.5 }
    <BLANKLINE>
    """
    spec = expect_spec(spec, "dumps")
    groups = [
        [f"grain {spec.version}"],
        [
            *_blocks(spec, ["video"]),
            *([f"model {quoted(spec.model)}"] if spec.model != DEMO else []),
            *_prompts(spec, "motion_adapter"),
        ],
        _prompts(spec, "source", "target", "negative"),
        [f"region {r.name} = {expression_text(r.expression)}" for r in spec.regions],
        [_edit(edit) for edit in spec.edits],
        _blocks(spec, [word for word in BLOCKS if word != "video"]),
        *(_variant(variant) for variant in spec.variants),
    ]
    return format_text("\n\n".join("\n".join(lines) for lines in groups if lines))


def _prompts(node: Node, *names: str) -> list[str]:
    """The texts of a spec, or those that a variant replaces, including by an empty text."""
    default = type(node).model_fields
    return [
        f"{name} {quoted(getattr(node, name))}"
        for name in names
        if getattr(node, name) != default[name].default
    ]


def _variant(variant: Variant) -> list[str]:
    return [
        f"variant {variant.name} {{",
        *_prompts(variant, "target", "negative"),
        *(_edit(edit) for edit in variant.edits),
        *_blocks(variant, [word for word, block in BLOCKS.items() if block.in_variant]),
        "}",
    ]


def _edit(edit: Change) -> str:
    if not isinstance(edit, Edit):
        return f"{edit.verb} {edit.region}"
    words: list[str] = [edit.verb]
    if edit.grain:
        words.append(edit.grain)
    words.append(edit.region)
    if edit.owner:
        words += ["of", edit.owner]
    return f"{' '.join(words)} -> {quoted(edit.phrase)}{_braces(edit)}"


# --- blocks of settings --------------------------------------------------------------------------


def _blocks(node: EditSpec | Variant, words: list[str]) -> list[str]:
    """The blocks of these statements whose settings differ from the defaults."""
    lines = []
    for word in words:
        field = BLOCKS[word].field
        value, default = getattr(node, field), type(node).model_fields[field].default
        if BLOCKS[word].several:
            lines += [_block(word, part) for part in value]
        elif value != default:
            lines.append(_block(word, value))
    return lines


def _block(word: str, node: Node) -> str:
    head = head_of(type(node))
    value = getattr(node, head.field) if head else None
    before = f" {KINDS[head.kind].write(value)}" if head and value is not None else ""
    return f"{word}{before}{_braces(node)}"


def _braces(node: Node) -> str:
    settings = _written(node)
    return f" {{ {' '.join(settings)} }}" if settings else ""


def _written(node: Node) -> list[str]:
    """The settings of a node that differ from their defaults, each with its value."""
    return [
        f"{declared.keyword} {KINDS[declared.kind].write(value)}".rstrip(" ")
        for declared in settings_of(type(node)).values()
        if (value := getattr(node, declared.field)) != declared.default
    ]


# --- regions -------------------------------------------------------------------------------------


def expression_text(expression: Expression, outer: int = _UNION) -> str:
    """A region expression, with the parentheses that it needs inside one of precedence ``outer``.

    >>> from grainspec import ALL, REST
    >>> expression_text(ALL - (REST | ALL))
    'all - (rest | all)'
    """
    return _WRITERS[type(expression)](expression, outer)


def _reference(reference: Reference, outer: int) -> str:
    return reference.name


def _masks(source: MaskFiles, outer: int) -> str:
    return f"masks({', '.join([quoted(source.path), *_written(source)])})"


def _shape(shape: Box | Polygon, outer: int) -> str:
    return shape_text(shape)


def _track(track: Track, outer: int) -> str:
    """The prompts of each frame, and the frame after the last of them."""
    following = [*track.prompts[1:], None]
    parts = []
    for prompt, after in zip(track.prompts, following, strict=True):
        last = after is None or after.frame != prompt.frame
        frame = f" @ {prompt.frame}" if last and prompt.frame is not None else ""
        parts.append(_prompt(prompt) + frame)
    return f"track({', '.join(parts)})"


def _prompt(prompt: Prompt) -> str:
    shape = prompt.shape
    if isinstance(shape, MaskFiles):
        return _masks(shape, _UNION)
    if isinstance(shape, Box | Polygon):
        return shape_text(shape)
    return f"{'not ' if prompt.outside else ''}point({shape.x}, {shape.y})"


def _find(find: Find, outer: int) -> str:
    parts = [quoted(find.words), *_written(find)]
    if find.choice != "all":
        parts.insert(1, find.choice)
    frame = "" if find.frame is None else f" @ {find.frame}"
    return f"find({', '.join(parts)}{frame})"


def _grown(grown: Grown, outer: int) -> str:
    return f"{expression_text(grown.of, _ATOM)} {grown.kind} {grown.by}"


def _during(during: During, outer: int) -> str:
    return f"{expression_text(during.of, _ATOM)} during {range_text(during.frames)}"


def _smoothed(smoothed: Smoothed, outer: int) -> str:
    return f"{expression_text(smoothed.of, _ATOM)} smooth {smoothed.frames}"


def _complement(complement: Complement, outer: int) -> str:
    text = "~" + expression_text(complement.of, _TERM)
    return f"({text})" if outer == _ATOM else text


def _operation(sign: str, inner: int) -> Callable[[Any, int], str]:
    """A writer of expressions with a sign between their items."""

    def write(expression: UnionOf | Intersection | Difference, outer: int) -> str:
        text = f" {sign} ".join(expression_text(item, inner + 1) for item in expression.items)
        return f"({text})" if inner < outer else text

    return write


_WRITERS: dict[type[Node], Callable[[Any, int], str]] = {
    Reference: _reference,
    Rest: lambda rest, outer: "rest",
    All: lambda all_, outer: "all",
    MaskFiles: _masks,
    Box: _shape,
    Polygon: _shape,
    Track: _track,
    Find: _find,
    Grown: _grown,
    During: _during,
    Smoothed: _smoothed,
    Complement: _complement,
    UnionOf: _operation("|", _UNION),
    Intersection: _operation("&", _INTERSECTION),
    Difference: _operation("-", _DIFFERENCE),
}
"""How each kind of expression is written, given the precedence of the expression around it."""

"""Region expressions written by hand: in the language, in Python, and as JSON."""

from __future__ import annotations

from decimal import Decimal
from functools import reduce
from operator import and_, or_, sub
from typing import Any

from grainspec.model import expressions as grain
from grainspec.model.expressions import Expression
from grainspec.text.printer import expression_text

_SIGNS = {"union": "|", "intersection": "&", "difference": "-"}
_TIGHTNESS = {"union": 1, "intersection": 2, "difference": 3, "complement": 4}
"""How tightly operators bind; `grow`, `shrink`, `during` and `smooth` bind more tightly, sources
most."""
_SUFFIX, _SOURCE = 5, 6


def text(node: Expression, *, brackets: bool = False) -> str:
    """An expression in the language; with ``brackets`` around every operand."""

    def operand(inner: Expression, least: int) -> str:
        written = text(inner, brackets=brackets)
        return f"({written})" if brackets or _tightness(inner) < least else written

    if isinstance(node, grain.Union | grain.Intersection | grain.Difference):
        own = _TIGHTNESS[node.kind]
        first, *others = node.items
        # `a - b - c` is one difference of three; on the right, or first of the same kind, it is not
        parts = [operand(first, own + 1), *(operand(item, own + 1) for item in others)]
        return f" {_SIGNS[node.kind]} ".join(parts)
    if isinstance(node, grain.Complement):
        return f"~{operand(node.of, _TIGHTNESS['complement'])}"
    if isinstance(node, grain.Grown):
        return f"{operand(node.of, _SUFFIX)} {node.kind} {_length(node.by)}"
    if isinstance(node, grain.During):
        return f"{operand(node.of, _SUFFIX)} during {node.frames.first}..{node.frames.last}"
    if isinstance(node, grain.Smoothed):
        return f"{operand(node.of, _SUFFIX)} smooth {node.frames}"
    if isinstance(node, grain.Track):
        return f"track({', '.join(map(_prompt_text, node.prompts))})"
    if isinstance(node, grain.Find):
        return _find_text(node)
    if isinstance(node, grain.Reference):
        return node.name
    if isinstance(node, grain.All | grain.Rest):
        return node.kind
    if isinstance(node, grain.MaskFiles):
        return _masks_text(node)
    return ", ".join(_shape_text(node, key) for key in node.keyframes)


def _masks_text(node: grain.MaskFiles) -> str:
    """Masks with their options; whatever is rare as `grain fmt` writes it."""
    simple = grain.MaskFiles(
        path=node.path, invert=node.invert, missing=node.missing, resize=node.resize
    )
    if node != simple or set(node.path) & set('"\\\n\t'):
        return expression_text(node)
    options = [f'"{node.path}"', *(["invert"] if node.invert else [])]
    options += ["missing empty"] if node.missing == "empty" else []
    options += [f"resize {node.resize}"] if node.resize != "nearest" else []
    return f"masks({', '.join(options)})"


def _prompt_text(prompt: grain.Prompt) -> str:
    """A prompt with its own frame, although the next one may have the same."""
    shape = prompt.shape
    if isinstance(shape, grain.Point):
        written = f"point({_length(shape.x)}, {_length(shape.y)})"
    else:
        written = text(shape)
    moment = "" if prompt.frame is None else f" @ {prompt.frame}"
    return f"{'not ' if prompt.outside else ''}{written}{moment}"


def _find_text(node: grain.Find) -> str:
    """Words with their options; whatever is rare as `grain fmt` writes it."""
    simple = grain.Find(words=node.words, choice=node.choice, number=node.number, frame=node.frame)
    if node != simple or set(node.words) & set('"\\\n\t'):
        return expression_text(node)
    options = [f'"{node.words}"', *([node.choice] if node.choice != "all" else [])]
    options += [f"number {node.number}"] if node.number is not None else []
    moment = "" if node.frame is None else f" @ {node.frame}"
    return f"find({', '.join(options)}{moment})"


def _tightness(node: Expression) -> int:
    if isinstance(node, grain.Grown | grain.During | grain.Smoothed):
        return _SUFFIX
    if isinstance(node, grain.Box | grain.Polygon) and len(node.keyframes) > 1:
        return _SOURCE  # its commas separate keyframes of one source
    return _TIGHTNESS.get(node.kind, _SOURCE)


def _shape_text(node: grain.Box | grain.Polygon, key: Any) -> str:
    if isinstance(node, grain.Polygon):
        written = ", ".join(f"{_length(point.x)} {_length(point.y)}" for point in key.points)
    else:
        written = ", ".join(map(_length, (key.x0, key.y0, key.x1, key.y1)))
    moment = "" if key.frame is None else f" @ {key.frame}"
    return f"{node.kind}({written}){moment}"


def _length(length: grain.Length) -> str:
    return f"{Decimal(repr(length.value)):f}{length.unit}"


def python(node: Expression) -> Expression:
    """An expression built with Python's functions and operators."""
    if isinstance(node, grain.Union):
        return reduce(or_, map(python, node.items))
    if isinstance(node, grain.Intersection):
        return reduce(and_, map(python, node.items))
    if isinstance(node, grain.Difference):
        return reduce(sub, map(python, node.items))
    if isinstance(node, grain.Complement):
        return ~python(node.of)
    if isinstance(node, grain.Grown):
        inner = python(node.of)
        return (
            inner.grow(_length(node.by)) if node.kind == "grow" else inner.shrink(_length(node.by))
        )
    if isinstance(node, grain.During):
        return python(node.of).during(node.frames.first, node.frames.last)
    if isinstance(node, grain.Smoothed):
        return python(node.of).smooth(node.frames)
    if isinstance(node, grain.Track):
        return grain.track(*map(_prompt, node.prompts))
    if isinstance(node, grain.Find):
        found = grain.find(node.words, node.choice, number=node.number, score=node.score)
        return found if node.frame is None else found @ node.frame
    if isinstance(node, grain.Reference):
        return grain.named(node.name)
    if isinstance(node, grain.All):
        return grain.ALL
    if isinstance(node, grain.Rest):
        return grain.REST
    if isinstance(node, grain.MaskFiles):
        return grain.masks(**_given(node))
    stills = [_shape(node, key) for key in node.keyframes]
    moving: Expression = grain.moving(*stills) if len(stills) > 1 else stills[0]
    return moving


def _prompt(prompt: grain.Prompt) -> Any:
    """A prompt by Python's functions and operators."""
    shape = prompt.shape
    if isinstance(shape, grain.Point):
        made: Any = grain.point(_length(shape.x), _length(shape.y))
    else:
        made = python(shape)
    made = ~made if prompt.outside else made
    return made if prompt.frame is None else made @ prompt.frame


def _shape(node: grain.Box | grain.Polygon, key: Any) -> Any:
    if isinstance(node, grain.Polygon):
        corners = [(_length(point.x), _length(point.y)) for point in key.points]
        still: grain.Box | grain.Polygon = grain.polygon(*corners)
    else:
        make = grain.ellipse if node.kind == "ellipse" else grain.box
        still = make(*map(_length, (key.x0, key.y0, key.x1, key.y1)))
    return still if key.frame is None else still @ key.frame


def document(node: Expression) -> dict[str, Any]:
    """An expression as JSON values."""
    if isinstance(node, grain.Union | grain.Intersection | grain.Difference):
        return {"kind": node.kind, "items": [document(item) for item in node.items]}
    if isinstance(node, grain.Complement):
        return {"kind": "complement", "of": document(node.of)}
    if isinstance(node, grain.Grown):
        return {"kind": node.kind, "of": document(node.of), "by": _number(node.by)}
    if isinstance(node, grain.During):
        frames = {"first": node.frames.first, "last": node.frames.last}
        return {"kind": "during", "of": document(node.of), "frames": frames}
    if isinstance(node, grain.Smoothed):
        return {"kind": "smooth", "of": document(node.of), "frames": node.frames}
    if isinstance(node, grain.Track):
        return {"kind": "track", "prompts": [*map(_prompt_document, node.prompts)]}
    if isinstance(node, grain.Find):
        return {"kind": "find", **_given(node)}
    if isinstance(node, grain.Reference):
        return {"kind": "reference", "name": node.name}
    if isinstance(node, grain.All | grain.Rest):
        return {"kind": node.kind}
    if isinstance(node, grain.MaskFiles):
        return {"kind": "masks", **_given(node)}
    return {"kind": node.kind, "keyframes": [_keyframe(node, key) for key in node.keyframes]}


def _prompt_document(prompt: grain.Prompt) -> dict[str, Any]:
    shape = prompt.shape
    if isinstance(shape, grain.Point):
        written = {"x": _number(shape.x), "y": _number(shape.y)}
    else:
        written = document(shape)
    return {"shape": written, "outside": prompt.outside, "frame": prompt.frame}


def _given(node: grain.MaskFiles | grain.Find) -> dict[str, Any]:
    """The path of masks, or the words of objects, and their options but for the defaults."""
    return {
        name: value
        for name, value in node
        if name != "kind" and value != type(node).model_fields[name].default
    }


def _keyframe(node: grain.Box | grain.Polygon, key: Any) -> dict[str, Any]:
    if isinstance(node, grain.Polygon):
        points = [{"x": _number(point.x), "y": _number(point.y)} for point in key.points]
        return {"frame": key.frame, "points": points}
    sides = {side: _number(getattr(key, side)) for side in ("x0", "y0", "x1", "y1")}
    return {"frame": key.frame, **sides}


def _number(length: grain.Length) -> dict[str, Any]:
    return {"value": length.value, "unit": length.unit}

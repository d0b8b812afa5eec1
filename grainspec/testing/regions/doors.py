"""The same regions in the language, in Python and as JSON."""

from __future__ import annotations

import json

from grainspec.diagnostics import GrainError
from grainspec.json_format import from_json
from grainspec.model.expressions import (
    Complement,
    Difference,
    During,
    Expression,
    Grown,
    Intersection,
    Smoothed,
    Union,
)
from grainspec.testing.broken import Broken
from grainspec.testing.regions.binding import Binding
from grainspec.testing.regions.extent import require
from grainspec.testing.regions.registry import binding_property
from grainspec.testing.regions.written import document, python, text
from grainspec.text.parse import parse


@binding_property("doors")
def doors(binding: Binding) -> None:
    """A region has one meaning, whether it is written as text, in Python or as JSON.

    Each region is written in the language, with and without brackets that are not needed, with
    Python's operators, and as JSON; all four are equal, except that `(a | b) | c` is one union in
    Python, which has the same pixels.
    """
    regions = [(region.name, region.expression) for region in binding.spec.regions]
    taken = {name for name, _ in regions}
    other = {name: f"{name}_" for name, _ in regions}
    head = 'grain 1 video "clip" target "a bear"\n'
    extra = "any"
    while extra in taken | set(other.values()):
        extra += "_"
    lines = [f"region {name} = {text(node)}" for name, node in regions]
    if len(regions) <= 31 and not taken & set(other.values()):
        lines += [
            f"region {other[name]} = {written}"
            for name, node in regions
            if (written := text(node, brackets=True)) != text(node)
        ]
    used = [line.split()[1] for line in lines]
    lines += [f"region {extra} = all", f'edit {extra} -> "bear"', f"keep {', '.join(used)}"]
    try:
        parsed = parse(head + "\n".join(lines))
    except GrainError as error:
        if {finding.code for finding in error.diagnostics} == {"G309"}:
            return  # a shape without area
        raise Broken("doors", f"the regions cannot be read as they are written: {error}") from error
    read = {region.name: region.expression for region in parsed.regions}
    values = {
        "video": {"path": "clip"},
        "target": "a bear",
        "regions": [
            *({"name": name, "expression": document(node)} for name, node in regions),
            {"name": extra, "expression": {"kind": "all"}},
        ],
        "edits": [
            {"verb": "edit", "region": extra, "phrase": "bear"},
            *({"verb": "keep", "region": name} for name, _ in regions),
        ],
    }
    decoded = {r.name: r.expression for r in from_json(json.dumps(values)).regions}
    for name, node in regions:
        _require_equal("in the language", name, read[name], node)
        if other[name] in read:
            _require_equal("in the language with brackets", name, read[other[name]], node)
        _require_equal("as JSON", name, decoded[name], node)
        _require_python(binding, name, node)


def _require_equal(how: str, name: str, read: Expression, node: Expression) -> None:
    if read != node:
        message = f"`{text(node)}` {how} is read as `{text(read, brackets=True)}`"
        raise Broken("doors", message, region=name)


def _require_python(binding: Binding, name: str, node: Expression) -> None:
    built = python(node)
    flat = _flat(node)
    if built != flat:
        message = f"`{text(node)}` in Python is `{text(built, brackets=True)}`"
        raise Broken("doors", message, region=name)
    if flat != node:
        one, other = (
            binding.values([node, flat], binding.spec.video) if binding.room > 1 else (0, 0)
        )
        if not isinstance(one, int) and not isinstance(other, int):
            what = f"`{text(built)}` in Python"
            source = f"`{text(node, brackets=True)}` does not agree"
            require("doors", what, one, other, binding.frames, source=source, region=name)


def _flat(node: Expression) -> Expression:
    """An expression in which an operation whose first operand is of the same kind has its items."""
    if isinstance(node, Union | Intersection | Difference):
        first, *others = map(_flat, node.items)
        items = first.items if isinstance(first, type(node)) else (first,)
        return node.model_copy(update={"items": (*items, *others)})
    if isinstance(node, Complement | Grown | During | Smoothed):
        return node.model_copy(update={"of": _flat(node.of)})
    return node

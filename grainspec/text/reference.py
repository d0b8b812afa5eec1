"""Generate the tables of the reference, ``grammar/README.md``, from the declarations.

A table is between ``<!-- settings: flow -->`` and ``<!-- end -->``. ``python -m
grainspec.generate`` writes it and does not change the text around it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from grainspec.model.algebra import Find, MaskFiles
from grainspec.model.declaration import Declaration, fields_of, settings_of
from grainspec.model.names import RESERVED
from grainspec.model.nodes import Node
from grainspec.model.rules import STATEMENT_RULES
from grainspec.model.settings.profiles import PROFILES
from grainspec.model.spec import BLOCKS, Edit
from grainspec.model.statements import STATEMENTS
from grainspec.text.kinds import KINDS, values_text

_MARKED = re.compile(r"(<!-- ([a-z]+)(?:: ([a-z]+))? -->\n).*?(<!-- end -->)", re.DOTALL)


def with_tables(page: str) -> str:
    """Replace the tables of a page by current ones."""
    return _MARKED.sub(
        lambda marked: f"{marked[1]}{_table(marked[2], marked[3])}\n{marked[4]}", page
    )


def _table(kind: str, name: str | None) -> str:
    if kind == "statements":
        return _statements()
    if kind == "keywords":
        return _keywords()
    if name == "find":
        return _find()
    return _attention() if name == "attention" else _settings(_MODELS[name or ""])


_MODELS: dict[str, type[Node]] = {
    **{word: block.model for word, block in BLOCKS.items()},
    "edit": Edit,
    "masks": MaskFiles,
}


def _statements() -> str:
    rows = [
        (
            f"`{statement.form}`",
            statement.times or "",
            _IN_VARIANT[statement.in_variant or "no"],
            statement.meaning,
        )
        for statement in STATEMENT_RULES
    ]
    return _rows(("statement", "how often", "in a variant", "meaning"), rows)


_IN_VARIANT = {"yes": "yes", "no": "", "only": "only there"}


def _keywords() -> str:
    words = [*STATEMENTS, *sorted(RESERVED - set(STATEMENTS))]
    return ", ".join(f"`{word}`" for word in words)


def _settings(model: type[Node]) -> str:
    """The settings of a block: keyword, values, default and meaning."""
    rows = [
        (f"`{word}`", values_text(declared), _default(declared), declared.description)
        for word, declared in settings_of(model).items()
    ]
    return _rows(("setting", "values", "default", "meaning"), rows)


def _find() -> str:
    """The options of ``find(…)``; which of the objects it takes is a word without a value."""
    choice = fields_of(Find)["choice"]
    words = ", ".join(f"`{word}`" for word in choice.choices if word != choice.default)
    first = (words, "no value", str(choice.default), choice.description)
    others = _settings(Find).splitlines()[2:]
    table = _rows(("option", "values", "default", "meaning"), [first])
    return "\n".join([table, *others])


def _attention() -> str:
    """The settings of ``attention``, with a column of defaults for every profile."""
    rows = []
    for word, declared in settings_of(BLOCKS["attention"].model).items():
        values = [
            _value(declared, getattr(profile, declared.field)) for profile in PROFILES.values()
        ]
        rows.append((f"`{word}`", values_text(declared), *values, declared.description))
    columns = [f"`{name}`" for name in PROFILES]
    return _rows(("setting", "values", *columns, "meaning"), rows)


def _default(declared: Declaration) -> str:
    if declared.default is None:
        return declared.absent
    return "off" if declared.kind == "flag" else _value(declared, declared.default)


def _value(declared: Declaration, value: Any) -> str:
    text = KINDS[declared.kind].write(value)
    return f"`{text}`" if isinstance(value, str) else text


def _rows(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, *rows]
    cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    written = [f"| {' | '.join(row)} |".replace("|  |", "| |") for row in cells]
    return "\n".join([written[0], f"|{'---|' * len(head)}", *written[1:]])

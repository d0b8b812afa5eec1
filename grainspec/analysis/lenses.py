"""The commands that an editor offers above an edit and above each variant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from grainspec.analysis.document import Document

COMMANDS = {"Show": "grain.show", "Plan": "grain.plan", "Run": "grain.run"}
"""What each command is called, and its name; clients run them, with ``{uri, variant}``."""

_CHANGES = frozenset({"edit", "add", "free"})


class Lens(NamedTuple):
    """A command above the line of ``start``; ``variant`` is None for the spec's own edit."""

    start: int
    end: int
    title: str
    command: str
    variant: str | None


def lenses(document: Document) -> Iterator[Lens]:
    """The commands of a text: above the first edit that is in no variant, and each variant.

    >>> text = 'target "a cat" edit all -> "cat" variant dog { target "a dog" }'
    >>> [(lens.title, lens.variant) for lens in lenses(Document(text, None))][2:4]
    [('Run', None), ('Show', 'dog')]
    """
    has_target = any(one.keyword == "target" and not one.variant for one in document.statements)
    first = next(
        (one for one in document.statements if one.keyword in _CHANGES and not one.variant), None
    )
    if first is not None and has_target:
        for title, command in COMMANDS.items():
            yield Lens(first.start, first.end, title, command, None)
    for variant in document.variants:
        if variant.name:
            for title, command in COMMANDS.items():
                yield Lens(variant.start, variant.open, title, command, variant.name)

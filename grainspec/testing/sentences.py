"""What each invariant says, in a sentence: the first of its docstring."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from grainspec.testing.invariants import INVARIANTS
from grainspec.testing.regions import REGION_PROPERTIES


def sentences() -> dict[str, str]:
    """The first paragraph of every invariant's docstring, by name, in the order of checking.

    >>> sentences()["pairs"]
    'Two latent tokens are a positive pair exactly if they share an edit.'
    """
    return _first_of(INVARIANTS)


def region_sentences() -> dict[str, str]:
    """The same for the properties of regions.

    >>> region_sentences()["shapes"]
    "A pixel is in a shape if its centre is, by the shape's formula."
    """
    return _first_of(REGION_PROPERTIES)


def _first_of(checks: Mapping[str, Callable[..., Any]]) -> dict[str, str]:
    return {
        name: " ".join((inspect.getdoc(check) or "").split("\n\n")[0].split())
        for name, check in checks.items()
    }


def with_sentences(page: str) -> str:
    r"""Replace the tables of invariants on a page by current ones.

    >>> print(with_sentences("<!-- invariants of plans -->\n<!-- end -->").split("\n|--")[0])
    <!-- invariants of plans -->
    | name | what it says |
    """
    tables = {"plans": sentences(), "regions": region_sentences()}
    return re.sub(
        r"(<!-- invariants of (\w+) -->\n).*?(<!-- end -->)",
        lambda marked: f"{marked[1]}{_table(tables[marked[2]])}\n{marked[3]}",
        page,
        flags=re.DOTALL,
    )


def _table(rows: Mapping[str, str]) -> str:
    written = [f"| `{name}` | {text.replace('``', '`')} |" for name, text in rows.items()]
    return "\n".join(["| name | what it says |", "|---|---|", *written])

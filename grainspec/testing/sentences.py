"""What each invariant says, in a sentence: the first of its docstring."""

from __future__ import annotations

import inspect
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

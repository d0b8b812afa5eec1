"""How often each statement may occur, and whether a variant may contain it."""

from __future__ import annotations

from grainspec.model.spec import BLOCKS
from grainspec.model.statements import STATEMENT_WORDS, StatementWord


def _completed(statement: StatementWord) -> StatementWord:
    """A statement; if it is a block, with what its fields say."""
    block = BLOCKS.get(statement.word)
    if block is None:
        return statement
    return statement._replace(times=block.times, in_variant="yes" if block.in_variant else "no")


STATEMENT_RULES = tuple(map(_completed, STATEMENT_WORDS))
"""The statements, with how often each may occur and whether a variant may contain it."""

SHARED = frozenset(rule.word for rule in STATEMENT_RULES if rule.in_variant == "no")
"""Statements that a variant cannot contain: they apply to all variants."""

ONCE = frozenset(rule.word for rule in STATEMENT_RULES if rule.times != "any number")
"""Statements that may occur only once, or once in each variant."""

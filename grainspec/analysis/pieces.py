"""The text tokens of a phrase, as a tokenizer that runs elsewhere makes them of its prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from grainspec.words import CharSpan

MAX_SHOWN = 24
"""Tokens of a phrase that are shown."""


class Pieces(NamedTuple):
    """The places of all text tokens of a prompt, or ``why`` they are not known.

    Those of special tokens and padding are empty. ``model`` is whose tokenizer it is.
    """

    model: str
    places: tuple[CharSpan, ...] = ()
    why: str = ""


AskPieces = Callable[[str], Pieces | None]
"""Gives the text tokens of a prompt; None while they are not known yet."""


def pieces_text(prompt: str, spans: Sequence[CharSpan], pieces: Pieces | None) -> str:
    """The tokens of the words at some places of a prompt, in Markdown.

    >>> pieces_text("a bear cub", [(2, 10)], Pieces("demo", ((0, 0), (0, 1), (2, 6), (7, 10))))
    '2 text tokens of `demo`: `bear` `cub` · positions 2 and 3 of 4'
    """
    if pieces is None:
        return "*Its text tokens are being looked up: point at it again.*"
    if pieces.why:
        return f"*Its text tokens are not known: {pieces.why}.*"
    from grainspec.plan.text_tokens import tokens_of

    found = list(dict.fromkeys(at for span in spans for at in tokens_of(span, pieces.places)))
    if not found:
        return f"*No text token of `{pieces.model}` has these words: the prompt is too long.*"
    shown = [_code(prompt[slice(*pieces.places[at])]) for at in found[:MAX_SHOWN]]
    more = " …" if len(found) > MAX_SHOWN else ""
    count = "1 text token" if len(found) == 1 else f"{len(found)} text tokens"
    where = _positions(found, len(pieces.places))
    return f"{count} of `{pieces.model}`: {' '.join(shown)}{more} · {where}"


def _code(text: str) -> str:
    """Text as code in Markdown, whatever signs it has."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def _positions(found: Sequence[int], total: int) -> str:
    """Where tokens are in the text encoder's input; 0 is the first.

    >>> _positions([2, 3, 4, 9], 77)
    'positions 2 to 4 and 9 of 77'
    """
    runs: list[list[int]] = []
    for at in found:
        if runs and at == runs[-1][-1] + 1:
            runs[-1].append(at)
        else:
            runs.append([at])
    parts: list[str] = []
    for run in runs:
        parts += [f"{run[0]} to {run[-1]}"] if len(run) > 2 else map(str, run)
    word = "position" if len(found) == 1 else "positions"
    listed = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    return f"{word} {listed} of {total}"

"""Check a function that binds phrases to words of a prompt."""

from __future__ import annotations

import difflib
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from grainspec.testing.broken import Broken
from grainspec.testing.reading.drawn import drawn
from grainspec.testing.reading.examples import Example, examples
from grainspec.testing.reading.phrases import longer_words_of, places, read_phrases
from grainspec.testing.reading.sign_examples import sign_examples
from grainspec.words import CharSpan, bind_phrases, longer_words, nearest_words

Bind = Callable[[Sequence[str], str], Sequence[Sequence[CharSpan]]]
"""From phrases and a prompt to the character spans of each phrase, in the prompt's order."""


def check_words(bind: Bind | None = None, *, drawn_prompts: int = 500, seed: int = 0) -> None:
    """Check how phrases are bound to the words of a prompt; raise Broken for the first mistake.

    ``bind`` takes phrases and a prompt, and returns the character spans of every phrase. It is
    compared with a table of examples in many scripts, and with :func:`read_phrases` on
    ``drawn_prompts`` random prompts, the shortest first. Without ``bind``, grainspec's own binding
    is checked, and what its findings about missing words (G104) suggest.

    >>> check_words(drawn_prompts=50)
    >>> def careless(phrases, prompt):
    ...     starts = [prompt.find(phrase) for phrase in phrases]
    ...     return [
    ...         [(at, at + len(phrase))] if at >= 0 else []
    ...         for at, phrase in zip(starts, phrases)
    ...     ]
    >>> check_words(careless)
    Traceback (most recent call last):
    grainspec.testing.broken.Broken: words: “bear” in “a bear, the bear and bears” is at 2 to 6, \
not at 2 to 6 and 12 to 16 (example a phrase is whole words)
    """
    for example in (*examples(), *sign_examples()):
        _compare(bind or bind_phrases, example)
    for phrases, prompt in drawn(drawn_prompts, seed):
        spans = tuple(map(tuple, read_phrases(phrases, prompt)))
        _compare(bind or bind_phrases, Example("a drawn prompt", phrases, prompt, spans))
        if bind is None:
            for phrase in phrases:
                _check_suggestions(phrase, prompt)
    if bind is None:
        for phrase, prompt, expected in _NEAREST:
            if (actual := _nearest(phrase, prompt)) != expected:
                message = f"{_quoted(actual)} is suggested for {_quoted(phrase)}"
                message += f" in {_quoted(prompt)}, not {_quoted(expected)}"
                raise Broken("suggestions", message)
        for phrase, prompt in _misspelt(drawn_prompts, seed):
            _check_nearest(phrase, prompt)


def _compare(bind: Bind, example: Example) -> None:
    try:
        found = bind(example.phrases, example.prompt)
    except Exception as error:
        message = f"binding {' and '.join(map(_quoted, example.phrases))} in "
        message += f"{_quoted(example.prompt)} raised {type(error).__name__}: {error}"
        raise Broken("words", message, example=example.name) from error
    if len(found) != len(example.phrases):
        message = f"{len(found)} phrases are bound, not {len(example.phrases)}"
        raise Broken("words", message, example=example.name)
    for phrase, actual, expected in zip(example.phrases, found, example.spans, strict=True):
        if [tuple(span) for span in actual] != list(expected):
            others = [other for other in example.phrases if other != phrase]
            among = f" beside {' and '.join(map(_quoted, others))}" if others else ""
            message = f"{_quoted(phrase)}{among} in {_quoted(example.prompt)} is "
            message += f"{_at(actual)}, not {_at(expected)}"
            raise Broken("words", message, example=example.name)


def _at(spans: Sequence[CharSpan]) -> str:
    shown = " and ".join(f"{start} to {end}" for start, end in spans)
    return f"at {shown}" if shown else "nowhere"


def _quoted(text: str | None) -> str:
    """A text as messages quote it: what cannot be seen is escaped."""
    if text is None:
        return "nothing"
    return "“" + "".join(s if s.isprintable() else ascii(s)[1:-1] for s in text) + "”"


def _check_suggestions(phrase: str, prompt: str) -> None:
    """Check what is suggested for a phrase that a prompt does not have."""
    if places(phrase, prompt):
        return
    within, expected = _longer(phrase, prompt), longer_words_of(phrase, prompt)
    if within != expected:
        message = f"{_quoted(phrase)} in {_quoted(prompt)} is part of "
        message += f"{' and '.join(map(_quoted, within)) or 'nothing'}, not of "
        message += " and ".join(map(_quoted, expected)) or "nothing"
        raise Broken("suggestions", message)
    near = _nearest(phrase, prompt)
    if near is not None and not places(near, prompt):
        message = f"{_quoted(near)}, suggested for {_quoted(phrase)}, is not in {_quoted(prompt)}"
        raise Broken("suggestions", message)


def _nearest(phrase: str, prompt: str) -> str | None:
    with _named(phrase, prompt):
        return nearest_words(phrase, prompt)


def _longer(phrase: str, prompt: str) -> list[str]:
    with _named(phrase, prompt):
        return longer_words(phrase, prompt)


@contextmanager
def _named(phrase: str, prompt: str) -> Iterator[None]:
    """Raise Broken for an error of the functions that suggest words."""
    try:
        yield
    except Exception as error:
        message = f"what is suggested for {_quoted(phrase)} in {_quoted(prompt)} raised "
        raise Broken("suggestions", f"{message}{type(error).__name__}: {error}") from error


def _misspelt(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Phrases of plain words that are more or less wrong, and prompts."""
    rng = random.Random(f"{seed} misspelt")
    for _ in range(count // 4):
        words = [rng.choice(_PLAIN_WORDS) for _ in range(rng.randint(1, 6))]
        first = rng.randrange(len(words))
        phrase = " ".join(words[first : first + rng.randint(1, 3)])
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(phrase))
            phrase = phrase[:at] + rng.choice("qxz") + phrase[at + rng.randint(0, 1) :]
        yield phrase, " ".join(words)


def _check_nearest(phrase: str, prompt: str) -> None:
    """Check that the most similar words of a prompt are suggested, if they are similar enough."""
    words, count = prompt.split(), len(phrase.split())
    runs = [
        " ".join(words[start : start + length])
        for length in (count - 1, count, count + 1)
        for start in range(len(words) - length + 1)
        if length > 0
    ]
    best = max(runs, key=lambda run: _likeness(phrase, run), default=None)
    if best is not None and _likeness(phrase, best) < _LEAST_LIKENESS:
        best = None
    near = _nearest(phrase, prompt)
    if near != best and (not (near and best) or _likeness(phrase, near) < _likeness(phrase, best)):
        message = f"{_quoted(near)} is suggested for {_quoted(phrase)} in {_quoted(prompt)}"
        raise Broken("suggestions", f"{message}, not {_quoted(best)}")


_LEAST_LIKENESS = 0.55
"""How alike a phrase and a suggestion are, from 0 to 1, as difflib measures it."""


def _likeness(phrase: str, suggestion: str) -> float:
    return difflib.SequenceMatcher(None, suggestion, phrase).ratio()


_PLAIN_WORDS = "a green robot on the grass before cherry trees polar bear with sunglasses".split()

_NEAREST = [
    ("mans hat", "a man’s\u00a0hat on grass", "man’s hat"),
    ("绿色机械人", "一个绿色机器人和人", "绿色机器人"),
    ("green robott", "a green  robot", "green robot"),
    ("greenrobot", "a green robot", "green robot"),
    ("green ro bot", "a green robot", "green robot"),
    ("cafes", "le café", "café"),
    ("polar-baer", "a polar–bear", "polar–bear"),
    ("สีเขียวว", "หุ่นยนต์สีเขียว", "สีเขียว"),
    ("GREEN ROBOTS", "a green robot", "green robot"),
    ("robots", 'a "robot" here', "robot"),
    ("giraffe", "a man", None),
    ("0000", "a man", None),
    ("", "a man", None),
    ("robot", "", None),
    ("abcd", "abxy", None),
    ("abcd", "abx", "abx"),
]
"""Phrases, prompts, and the words of the prompt to suggest."""

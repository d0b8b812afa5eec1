"""What the compiler refuses and warns about in prompts, with the tokenizer of the backbone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from grainspec.diagnostics import Diagnostic, GrainError
from grainspec.diagnostics.span import Span
from grainspec.model.spec import Edit, EditSpec
from grainspec.plan.backbone import Backbone
from grainspec.plan.compile import compile_plan
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case, compile_with, compiled
from grainspec.testing.invariants.registry import invariant
from grainspec.testing.invariants.tokenizers import (
    cut_short,
    in_pieces,
    matching,
    skipping,
    small,
    turn,
)
from grainspec.testing.invariants.words import phrases_of, tokens_of
from grainspec.testing.reading.phrases import read_phrases
from grainspec.testing.reading.signs import is_blank
from grainspec.words import CharSpan


class Finding(NamedTuple):
    """A finding that is expected: its code, what its message begins with and quotes, its place."""

    code: str
    start: str
    quoted: tuple[str, ...]
    span: Span | None


@invariant("refused words")
def refused_words(case: Case) -> None:
    """Words that are not in the prompt (G104), or that the text encoder does not read (G402).

    An edit's words are beyond the limit if some occurrence of them has no text token, or ends after
    the last one that is read; invisible characters and combining marks do not count. All edits with
    such words are refused, and no others.
    """
    if turn(case) % 4 < 2:
        return
    spec, backbone, number = case.spec, case.backbone, turn(case) // 4
    if number % 2:
        backbone = in_pieces(backbone, 1, spec.target)
    places = list(backbone.tokenize(spec.target))
    spans = [span for _, spans in phrases_of(spec) for span in spans]
    bound = [token for span in spans for token in tokens_of(span, places)]
    needed = max(bound, default=0) + 1
    half = sorted(bound)[len(bound) // 2] if bound else 0
    for count in (needed, needed - 1, (half, 0, needed - 2)[number // 2 % 3]):
        _compare_errors(case, spec, cut_short(backbone, max(0, count)))
    # Words that are in the prompt twice need text tokens at both places.
    some = [each[0] for _, each in phrases_of(spec) if len(each) > 1] or spans
    if some:
        _compare_errors(case, spec, skipping(backbone, some[number % len(some)]))
    unknown = "zeppelin"
    while read_phrases([unknown], spec.target)[0]:
        unknown += "s"
    if number // 2 % 4 == 0:
        _compare_errors(case, spec.model_copy(update={"target": unknown}), backbone)
        return
    changes = list(spec.changes)
    changes[number % len(changes)] = changes[number % len(changes)].model_copy(
        update={"phrase": unknown}
    )
    edits = (*changes, *(edit for edit in spec.edits if not isinstance(edit, Edit)))
    _compare_errors(case, spec.model_copy(update={"edits": edits}), backbone)


@invariant("prompt warnings")
def prompt_warnings(case: Case) -> None:
    """What has no effect, or another effect than it seems, is a warning.

    - G403: words at the end of a prompt that the text encoder does not read.
    - G522: words in angle brackets that are not one text token.
    - G521: a phrase of which a text token also has letters beside it; and with isolated phrases,
      one that is as many tokens by itself as it is in the prompt.

    The last two are only known if the tokenizer is the model's own. This is a property of
    grainspec's compiler; others return no warnings.
    """
    if case.compiler is not compiled or turn(case) % 4 in (1, 2):
        return
    number = turn(case) // 4 % len(_TOKENIZERS)
    spec = case.spec.model_copy(update=_texts(case.spec, turn(case) // 4))
    backbone = matching(case.backbone, _TOKENIZERS[number], len(spec.target) + 2)
    backbone = replace(backbone, exact_tokens=number != _INEXACT)
    found = compile_plan(spec, small(case), backbone).warnings
    actual = [finding for finding in found if finding.code in ("G403", "G521", "G522")]
    expected = [*_unread(spec, backbone)]
    if backbone.exact_tokens:
        expected += [*_unloaded(spec, backbone), *_shared(spec, backbone)]
    _compare("prompt warnings", actual, expected, spec.target)


_TOKENIZERS = (
    r"\w+|[^\w\s]",
    r"\w{1,3}|[^\w\s]",
    r"(?s).{1,5}",  # across the ends of words
    r"^\w{2}|<\w+>|\w+|[^\w\s]",  # otherwise at the beginning of a text
    r"\s?\w+\s?|[^\w\s]",
    r"^\w|\w+|[^\w\s]",
    r"\w+|[^\w\s]",
)
"""Patterns whose matches are text tokens."""
_INEXACT = 6
"""The number of the pattern that only counts words."""


def _texts(spec: EditSpec, number: int) -> dict[str, Any]:
    """Prompts with words in angle brackets, and too long ones; mostly phrases are isolated."""
    long = f"{spec.target} _ <ink> !? _x y'z <a:b> 絵 a\u0301"
    isolated = spec.attention.model_copy(update={"phrases": "isolated"})
    return {
        "source": (f"{long} " * 4, f"< ink> <ink> <ink> <a<b> {long}")[number // 7 % 2],
        "negative": ("", "ugly, <bad>", f"{long} " * 3)[number // 13 % 3],
        "target": (
            spec.target,
            f"{spec.target} <ink> . <toy>",
            f"{spec.changes[0].phrase} , {spec.target}",  # once more, where tokens may be others
            f"{spec.changes[-1].phrase}, {spec.target}",
        )[number // 41 % 4],
        "attention": (isolated, isolated, spec.attention)[number // 17 % 3],
    }


def _compare_errors(case: Case, spec: EditSpec, backbone: Backbone) -> None:
    found: Sequence[Diagnostic] = ()
    try:
        compile_with(case.compiler, spec, small(case), backbone)
    except GrainError as error:
        found = error.diagnostics
    _compare("refused words", found, [*_refused(spec, backbone)], spec.target)


def _compare(
    invariant: str, actual: Sequence[Diagnostic], expected: Sequence[Finding], target: str
) -> None:
    """Raise Broken unless the findings are those expected, in this order."""
    rest = list(actual)
    for wanted in expected:
        found = next((finding for finding in rest if _is(finding, wanted)), None)
        if found is None:
            others = f" but {'; '.join(map(str, rest))}" if rest else ""
            message = f"{_shown(wanted)} is not reported{others}"
            raise Broken(invariant, message, prompt=target)
        rest.remove(found)
    for finding in rest:
        raise Broken(invariant, f"{finding} is reported without a reason", prompt=target)
    if not all(map(_is, actual, expected)):
        order = " then ".join(map(_shown, expected))
        raise Broken(invariant, f"the order of findings is not {order}", prompt=target)


def _is(finding: Diagnostic, wanted: Finding) -> bool:
    """Whether a finding is an expected one."""
    said = finding.message + finding.cure
    return (
        (finding.code, finding.span) == (wanted.code, wanted.span)
        and finding.message.startswith(f"“{wanted.start}”")
        and all(f"“{text}”" in said for text in wanted.quoted)
    )


def _shown(finding: Finding) -> str:
    return f"{finding.code} about “{finding.start}”"


def _refused(spec: EditSpec, backbone: Backbone) -> Iterator[Finding]:
    """The edits whose words are not in the prompt, or beyond the limit."""
    places = list(backbone.tokenize(spec.target))
    read = _end(places)
    for edit, spans in phrases_of(spec):
        beyond = [span for span in spans if _last_letter(spec.target, span) >= read]
        unbound = [span for span in spans if not tokens_of(span, places)]
        if not spans or beyond or unbound:
            code = "G402" if spans else "G104"
            yield Finding(code, edit.phrase, (), edit.span_of("phrase"))


def _last_letter(text: str, span: CharSpan) -> int:
    """The index of a span's last character that a tokenizer must have a place for."""
    return max((at for at in range(*span) if not is_blank(text[at])), default=span[0])


def _end(places: Iterable[CharSpan]) -> int:
    """Where the text ends that a text encoder reads."""
    return max((end for _, end in places), default=0)


def _unread(spec: EditSpec, backbone: Backbone) -> Iterator[Finding]:
    """The prompts whose last words are not read: words with a letter, digit or underscore there."""
    for name in ("source", "target", "negative"):
        text = getattr(spec, name)
        read = _end(backbone.tokenize(text))
        words = [
            text[start:end]
            for start, end in _between_spaces(text)
            if any(text[at].isalnum() or text[at] == "_" for at in range(max(start, read), end))
        ]
        if words:
            shown = " ".join(words[:4]) + (" …" if len(words) > 4 else "")
            yield Finding("G403", shown, (), spec.span_of(name))


def _between_spaces(text: str) -> Iterator[CharSpan]:
    start = 0
    for at in range(len(text) + 1):
        if at == len(text) or text[at].isspace():
            if start < at:
                yield start, at
            start = at + 1


def _unloaded(spec: EditSpec, backbone: Backbone) -> Iterator[Finding]:
    """The words in angle brackets that are read, but not as one text token; each once."""
    for name in ("source", "target", "negative"):
        text = getattr(spec, name)
        places = list(backbone.tokenize(text))
        words = []
        for start in range(len(text)):
            end = text.find(">", start) + 1
            inside = text[start + 1 : end - 1]
            if text[start] != "<" or not inside or any(s in "<>:" or s.isspace() for s in inside):
                continue
            if (start, end) not in places and end <= _end(places):
                words.append(inside)
        for word in dict.fromkeys(words):
            yield Finding("G522", f"<{word}>", (word,), spec.span_of(name))


def _shared(spec: EditSpec, backbone: Backbone) -> Iterator[Finding]:
    """The phrases whose text tokens are also of other words, or are other tokens by themselves."""
    text = spec.target
    places = list(backbone.tokenize(text))
    for edit, spans in phrases_of(spec):
        wide = [
            places[token]
            for span in spans
            for token in tokens_of(span, places)
            if any(not is_blank(text[at]) for at in {*range(*places[token])} - {*range(*span)})
        ]
        if wide:
            token = text[slice(*wide[0])]
            yield Finding("G521", token, (edit.phrase,), edit.span_of("phrase"))
        elif spec.modulation.phrases == "isolated" and any(
            len(tokens_of(span, places)) != _count(text[slice(*span)], backbone) for span in spans
        ):
            yield Finding("G521", edit.phrase, (edit.phrase,), edit.span_of("phrase"))


def _count(text: str, backbone: Backbone) -> int:
    """The number of text tokens of a text."""
    return sum(start < end for start, end in backbone.tokenize(text))

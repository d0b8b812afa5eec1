"""The text tokens that a model's tokenizer makes of the prompts, and warnings about them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from grainspec.diagnostics import Diagnostic
from grainspec.model.spec import Edit, EditSpec
from grainspec.plan.backbone import Backbone
from grainspec.plan.mask_plan import PlannedEdit
from grainspec.scripts import is_blank
from grainspec.words import CharSpan

_PROMPTS = ("source", "target", "negative")


def tokens_of(span: CharSpan, places: Sequence[CharSpan]) -> tuple[int, ...]:
    """The positions of the text tokens that share characters with a span of the prompt.

    ``places`` are the spans of all positions; those of special tokens and padding are empty.

    >>> tokens_of((2, 7), [(0, 0), (0, 1), (2, 5), (5, 9)])
    (2, 3)
    """
    start, end = span
    return tuple(
        index
        for index, (first, last) in enumerate(places)
        if first < last and first < end and start < last
    )


def unread_words(spec: EditSpec, backbone: Backbone) -> Iterator[Diagnostic]:
    """Warn (G403) about the ends of prompts that exceed the text encoder's token limit."""
    for name in _PROMPTS:
        text = getattr(spec, name)
        read = max((end for _, end in backbone.tokenize(text)), default=0)
        words = [
            match[0]
            for match in re.finditer(r"\S+", text)
            if re.search(r"\w", text[max(read, match.start()) : match.end()])
        ]
        if words:
            shown = " ".join(words[:4]) + " …" * (len(words) > 4)
            message = f"“{shown}”, at the end of `{name}`, has no effect"
            cure = f"{backbone.name} reads {backbone.max_tokens} text tokens; shorten the prompt."
            yield Diagnostic("G403", message, cure, spec.span_of(name))


def unloaded_words(spec: EditSpec, backbone: Backbone) -> Iterator[Diagnostic]:
    """Warn (G522) about words in angle brackets that are no textual inversion of the model."""
    for name in _PROMPTS:
        text = getattr(spec, name)
        tokens = set(backbone.tokenize(text)) if "<" in text else set()
        words = {
            match[0]: None
            for match in re.finditer(r"<[^\s<>:]+>", text)
            if match.span() not in tokens and match.end() <= max(end for _, end in tokens)
        }
        for word in words:
            message = f"“{word}” in `{name}` is not the word of a loaded textual inversion"
            cure = f'Load it with `--embedding "{word}=FILE.safetensors"`, or write “{word[1:-1]}”.'
            yield Diagnostic("G522", message, cure, spec.span_of(name))


def shared_tokens(
    spec: EditSpec, edits: Sequence[PlannedEdit], backbone: Backbone
) -> Iterator[Diagnostic]:
    """Warn (G521) about phrases whose text tokens also cover what is beside them.

    With isolated phrases, also about those that are other tokens by themselves.
    """
    places = backbone.tokenize(spec.target)
    for edit, planned in zip(spec.changes, edits, strict=False):  # `free` follows, without words
        pairs = list(zip(planned.spans, planned.tokens, strict=True))
        token = next(
            (
                places[token]
                for span, tokens in pairs
                for token in tokens
                if _extends(places[token], span, spec.target)
            ),
            None,
        )
        if token is not None:
            yield _shared(edit, spec.target[slice(*token)])
        elif spec.modulation.phrases == "isolated" and not all(
            splits_alike(spec.target, span, tokens, places, backbone) for span, tokens in pairs
        ):
            message = f"“{edit.phrase}” is split into other text tokens within the prompt than by "
            message += "itself, so it is encoded within the prompt"
            yield Diagnostic("G521", message, _apart(edit.phrase), edit.span_of("phrase"))


def splits_alike(
    target: str,
    span: CharSpan,
    tokens: Sequence[int],
    places: Sequence[CharSpan],
    backbone: Backbone,
) -> bool:
    """Whether words of the prompt, encoded by themselves, are as many tokens as in the prompt."""
    alone = [place for place in backbone.tokenize(target[slice(*span)]) if place[0] < place[1]]
    return len(alone) == len(tokens)


def _extends(token: CharSpan, span: CharSpan, text: str) -> bool:
    """Whether a token covers visible characters outside a span."""
    before, after = text[token[0] : max(span[0], token[0])], text[min(span[1], token[1]) : token[1]]
    return not is_blank(before + after)


def _shared(edit: Edit, token: str) -> Diagnostic:
    message = f"“{token}” is one text token, and “{edit.phrase}” is only part of it"
    return Diagnostic("G521", message, _apart(edit.phrase), edit.span_of("phrase"))


def _apart(phrase: str) -> str:
    return f"Put spaces around “{phrase}” in `target`."

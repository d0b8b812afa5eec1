"""Checks of the words of edits against the target prompt."""

from __future__ import annotations

from collections.abc import Iterator

from grainspec.checks.foreign_syntax import foreign_parts, without_foreign_syntax, words_only
from grainspec.checks.prompts import breaking, fixes_inside, inside, shown
from grainspec.diagnostics import Diagnostic
from grainspec.model.spec import Edit, EditSpec
from grainspec.words import bind_phrases, longer_words, nearest_words, occurrences

MAX_GUESSES = 20
"""The number of unknown phrases that get a suggestion; finding one is slow."""


def check_phrases(spec: EditSpec) -> Iterator[Diagnostic]:
    """Check that the words of every edit are in the target prompt (G104), for it alone (G105)."""
    changes = spec.changes
    guesses = iter(range(MAX_GUESSES))
    places = bind_phrases([edit.phrase for edit in changes], spec.target)
    for edit, spans in zip(changes, places, strict=True):
        if spans:
            continue
        if occurrences(edit.phrase, spec.target):
            message = f"“{edit.phrase}” is already used by another edit"
            cure = "Use other words, or write one edit of both regions, joined with `|`."
            yield Diagnostic("G105", message, cure, edit.span_of("phrase"))
        else:
            guess = next(guesses, None) is not None
            broken = _broken(edit, spec) if guess else None
            yield broken or _not_in_target(edit, spec.target, guess=guess)


def _broken(edit: Edit, spec: EditSpec) -> Diagnostic | None:
    """The finding for words that syntax of other tools keeps apart in the prompt."""
    phrase, target = edit.phrase, spec.target
    parts = breaking(phrase, target, foreign_parts(target))
    if not parts:
        return None
    first = parts[0]
    syntax = f"“{shown(target, first)}” in it is syntax of other tools"
    message = f"“{phrase}” is not in the target prompt: {syntax}"
    written = spec.span_of("target")
    span = inside(written, target, first.start, first.end) or edit.span_of("phrase")
    changes = [change for part in parts if part.certain for change in part.replacements]
    return Diagnostic("G104", message, first.cure, span, fixes_inside(written, target, changes))


def _not_in_target(edit: Edit, target: str, *, guess: bool) -> Diagnostic:
    """The finding for words that are not in the prompt, with the most helpful cure."""
    phrase, span = edit.phrase, edit.span_of("phrase")
    message = f"“{phrase}” is not in the target prompt"
    plain = without_foreign_syntax(phrase)
    if plain != phrase and occurrences(plain, target):
        cure = f"Write “{plain}”: edits take plain words, and their strength is `{{ weight 1.3 }}`."
        changes = [change for part in foreign_parts(phrase) for change in part.replacements]
        return Diagnostic("G104", message, cure, span, fixes_inside(span, phrase, changes))
    longer = longer_words(phrase, target)[:3]
    if longer:
        shown = " and ".join(f"“{word}”" for word in longer)
        message = f"in the target prompt “{phrase}” is only part of {shown}"
        cure = f"Write “{longer[0]}” here, or “{phrase}” as words of their own in `target`."
        if len(phrase.split()) == 1:
            cure = f"Write “{longer[0]}” here, or “{phrase}” as a word of its own in `target`."
        return Diagnostic("G104", message, cure, span)
    near = nearest_words(phrase, words_only(target)) if guess else None
    cure = f"Did you mean “{near}”?" if near else "Add these words to `target`."
    return Diagnostic("G104", message, cure, span)

"""Words of the target prompt given to a region, and regions that are kept as they are."""

from __future__ import annotations

from typing import NamedTuple

from lark import Token

from grainspec.analysis.edits import TextEdit
from grainspec.analysis.gestures.placing import inserted, replaced_statement
from grainspec.analysis.gestures.spec_text import Claim, SpecText
from grainspec.analysis.gestures.taken_out import (
    removed_item,
    removed_statement,
    removed_with_comment,
)
from grainspec.analysis.quoted import quoted
from grainspec.diagnostics import GrainError, fail
from grainspec.scripts import joined
from grainspec.text.kinds import quoted as string
from grainspec.text.records import token_of
from grainspec.words import nearest_words, occurrences

_AROUND = " \t\n,.;:!?"
"""What a selection may have around its words."""


class Target(NamedTuple):
    """A target prompt: its text, its token with quotes and escapes, its variant (0 for none)."""

    prompt: str
    token: Token
    variant: int


def targets(written: SpecText) -> list[Target]:
    """The target prompts of a text, those of its variants among them."""
    tokens = [
        (token_of(statement.tree.children[1]), statement.variant)
        for statement in written.of_kind("target")
        if statement.tree is not None
    ]
    return [Target(quoted(token).text, token, variant) for token, variant in tokens]


def bound(written: SpecText, region: str, words: str | tuple[int, int]) -> list[TextEdit]:
    """The edits that give a region words of the target prompt.

    They replace those of the region's edit, or what keeps it as it is, or are a new `edit`. Raises
    GrainError (G714) if the words are not in a target prompt.
    """
    target, phrase = _chosen(written, words)
    claims = _own_claims(written, region, target.variant)
    if changed := [claim for claim in claims if claim.keyword in ("edit", "add")]:
        token = changed[0].phrase
        return [TextEdit(token.start_pos or 0, token.end_pos or 0, string(phrase))]
    statement = f"edit {region} -> {string(phrase)}"
    alone = next((claim for claim in claims if len(_listed(written, claim)) == 1), None)
    others = [claim for claim in claims if claim is not alone]
    edits = [edit for claim in others for edit in removed_claim(written, claim)]
    if alone:
        return [*edits, *replaced_statement(written, alone.statement, statement)]
    return [*edits, *inserted(written, statement, target.variant)]


def kept(written: SpecText, region: str) -> list[TextEdit]:
    """The edits that keep a region as it is: in place of its `edit` or `free`, if it has one."""
    claims = _own_claims(written, region, 0)
    if any(claim.keyword == "keep" for claim in claims):
        return []
    for claim in claims:
        if len(_listed(written, claim)) == 1:
            return [TextEdit(claim.statement.start, claim.statement.end, f"keep {region}")]
    edits = [edit for claim in claims for edit in removed_claim(written, claim)]
    others = [one for one in written.claims if one.keyword == "keep" and one.variant == 0]
    if others:
        end = others[-1].name.end_pos or 0
        return [*edits, TextEdit(end, end, f", {region}")]
    return [*edits, *inserted(written, f"keep {region}")]


def removed_claim(written: SpecText, claim: Claim, *, with_comment: bool = False) -> list[TextEdit]:
    """The edits that remove a region's name from a list, or the whole statement with it.

    ``with_comment``: a comment above that is about the statement alone goes too.
    """
    listed = _listed(written, claim)
    if len(listed) == 1 and with_comment:
        return [removed_with_comment(written, claim.statement)]
    if len(listed) == 1:
        return [removed_statement(written.text, claim.statement)]
    items = [(one.name.start_pos or 0, one.name.end_pos or 0) for one in listed]
    index = next(at for at, one in enumerate(listed) if one.name is claim.name)
    return removed_item(written.text, items, index)


def _listed(written: SpecText, claim: Claim) -> list[Claim]:
    """The claims of a statement; only the first one of an edit, which has one region."""
    every = [one for one in written.claims if one.statement is claim.statement]
    return every[:1] if claim.keyword in ("edit", "add") else every


def _own_claims(written: SpecText, region: str, variant: int) -> list[Claim]:
    """What the spec, or one of its variants, says about a region itself."""
    return [
        claim
        for claim in written.claims
        if claim.region == region and claim.variant == variant and not claim.owner
    ]


def _chosen(written: SpecText, words: str | tuple[int, int]) -> tuple[Target, str]:
    """The prompt that words are of, and the words."""
    prompts = targets(written)
    if isinstance(words, str):
        phrase = " ".join(words.split()).strip(_AROUND)
        for target in prompts:
            if found := occurrences(phrase, target.prompt):
                return target, _one_row(target.prompt[slice(*found[0])])
        near = [nearest_words(phrase, target.prompt) for target in prompts if phrase]
        cure = f"Did you mean “{near[0]}”?" if near and near[0] else "Select words of `target`."
        raise fail("G714", f"“{phrase}” is not in the target prompt", cure)
    start, end = words
    for target in prompts:
        at = target.token.start_pos or 0
        if at <= start <= end <= (target.token.end_pos or 0):
            phrase = _whole_words(target, start, end)
            if phrase:
                return target, phrase
    raise _outside()


def _outside() -> GrainError:
    message = "the selection is not in the words of a target prompt"
    return fail("G714", message, 'Select words between the quotes of `target "…"`.')


def _whole_words(target: Target, start: int, end: int) -> str:
    """The words of a prompt that a selection in its token touches."""
    places, prompt = quoted(target.token), target.prompt
    first, last = places.before(start), places.before(end)
    while first < last and prompt[first] in _AROUND:
        first += 1
    while first < last and prompt[last - 1] in _AROUND:
        last -= 1
    if first == last:
        return ""
    while first > 0 and joined(prompt[first - 1], prompt[first]):
        first -= 1
    while last < len(prompt) and joined(prompt[last - 1], prompt[last]):
        last += 1
    return _one_row(prompt[first:last])


def _one_row(phrase: str) -> str:
    return " ".join(phrase.split())

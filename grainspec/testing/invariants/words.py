"""Which words act on which regions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from grainspec.model.spec import Edit, EditSpec
from grainspec.plan.backbone import Backbone
from grainspec.plan.mask_plan import MaskPlan
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case, compile_with
from grainspec.testing.invariants.registry import invariant
from grainspec.testing.invariants.tokenizers import in_pieces, small, turn
from grainspec.testing.reading.phrases import read_phrases
from grainspec.words import CharSpan


@invariant("words")
def words(case: Case) -> None:
    """A word of the prompt is positive exactly for the regions whose phrases contain it.

    The plan has every place of every phrase, as :func:`grainspec.testing.read_phrases` finds it,
    and the text tokens that have a letter of it. A token that only touches a phrase is not in it.
    The same holds if the tokenizer splits the prompt into pieces of words, or across their ends.
    """
    _check(case.spec, case.backbone, case.plan)
    if turn(case) % 2:
        pieces = in_pieces(case.backbone, 1 + turn(case) % 5, case.spec.target)
        _check(case.spec, pieces, compile_with(case.compiler, case.spec, small(case), pieces))


@invariant("unbound")
def unbound(case: Case) -> None:
    """Words of no edit repel by the share `unbound`, and all other words fully.

    Padding that is not modulated does not repel.
    """
    backbone = case.backbone
    bound = words_by_edit(case.spec, backbone).any(axis=0)
    expected = np.where(bound, 1.0, case.spec.modulation.unbound)
    if backbone.padding is not None and backbone.padding_keys != "modulated":
        expected[list(backbone.padding(case.spec.target))] = 0
    actual = np.asarray(case.plan.repel_shares_T, np.float64)
    if actual.shape != expected.shape:
        message = f"there are shares for {len(actual)} text tokens, not for {len(expected)}"
        raise Broken("unbound", message)
    for token in np.flatnonzero(~np.isclose(actual, expected, rtol=0, atol=1e-6))[:1]:
        message = f"the word {_word(case.spec, case.backbone, token)} repels by "
        message += f"{actual[token]:g}, not {expected[token]:g}"
        raise Broken("unbound", message, token=int(token))


def tokens_of(span: CharSpan, places: Sequence[CharSpan]) -> tuple[int, ...]:
    """The numbers of the text tokens that have a character of a span.

    >>> tokens_of((2, 5), [(0, 0), (0, 2), (2, 4), (3, 3), (4, 9), (5, 6)])
    (2, 4)
    """
    start, end = span
    return tuple(n for n, (a, b) in enumerate(places) if max(start, a) < min(end, b))


def phrases_of(spec: EditSpec) -> list[tuple[Edit, list[CharSpan]]]:
    """Every edit with words, and their places in the target prompt."""
    phrases = [edit.phrase for edit in spec.changes]
    return [*zip(spec.changes, read_phrases(phrases, spec.target), strict=True)]


def words_by_edit(spec: EditSpec, backbone: Backbone) -> npt.NDArray[np.bool_]:
    """bool ``[E, T]``: the text tokens of every edit's words; `free` regions have none."""
    places = list(backbone.tokenize(spec.target))
    table = np.zeros((len(spec.claims), backbone.max_tokens), np.bool_)
    for row, (_, spans) in zip(table, phrases_of(spec), strict=False):
        for span in spans:
            row[list(tokens_of(span, places))] = True
    return table


def _check(spec: EditSpec, backbone: Backbone, plan: MaskPlan) -> None:
    """Check the words of a plan for a spec and backbone."""
    places = list(backbone.tokenize(spec.target))
    names = [edit.region for edit in plan.edits]
    for claim in spec.claims:
        if names.count(claim.region) != 1:
            message = f"the plan has {names.count(claim.region)} edits of the region"
            raise Broken("words", message, region=claim.region)
    planned = {edit.region: edit for edit in plan.edits}
    for edit, spans in phrases_of(spec):
        found, where = planned[edit.region], {"region": edit.region}
        if [*map(tuple, found.spans)] != spans:
            message = f"“{edit.phrase}” is at {_shown(found.spans)} in the prompt, "
            raise Broken("words", f"{message}not at {_shown(spans)}", **where)
        for span, tokens in zip(spans, found.tokens, strict=False):
            if tuple(tokens) != tokens_of(span, places) or not tokens:
                message = f"“{edit.phrase}”, at {_shown([span])}, has the text tokens "
                message += f"{[*tokens]}, not {[*tokens_of(span, places)]}"
                raise Broken("words", message, **where)
        if len(found.tokens) != len(spans):
            message = f"“{edit.phrase}” has text tokens at {len(found.tokens)} places, "
            raise Broken("words", f"{message}not at {len(spans)}", **where)
    for claim in spec.claims[len(spec.changes) :]:
        if planned[claim.region].spans or planned[claim.region].tokens:
            raise Broken("words", "a `free` region has words", region=claim.region)
    _check_tables(spec, backbone, plan)


def _check_tables(spec: EditSpec, backbone: Backbone, plan: MaskPlan) -> None:
    """Check the words of every edit, and of every class of latent tokens."""
    table = words_by_edit(spec, backbone)
    order = [[claim.region for claim in spec.claims].index(edit.region) for edit in plan.edits]
    by_edit = table[order]
    by_class = np.any(plan.members_CE[:, :, None] & by_edit[None], axis=1)
    for actual, expected in ((plan.words_ET, by_edit), (plan.cross_relation_CT, by_class)):
        if actual.shape != expected.shape:
            message = f"the plan has {actual.shape[1]} text tokens, not {expected.shape[1]}"
            raise Broken("words", message)
    for row, token in np.argwhere(plan.words_ET != by_edit)[:1]:
        word = _word(spec, backbone, token)
        message = f"the word {word} is {'not ' * bool(by_edit[row, token])}one of the edit's"
        raise Broken("words", message, region=plan.edits[row].region, token=int(token))
    for number, token in np.argwhere(plan.cross_relation_CT != by_class)[:1]:
        kind = "negative" if by_class[number, token] else "positive"
        members = zip(plan.edits, plan.members_CE[number], strict=True)
        region = " and ".join(edit.region for edit, member in members if member) or "none"
        message = f"the word {_word(spec, backbone, token)} is {kind}"
        raise Broken("words", message, region=region, token=int(token))


def _shown(spans: Sequence[CharSpan]) -> str:
    return " and ".join(f"{start} to {end}" for start, end in spans) or "no place"


def _word(spec: EditSpec, backbone: Backbone, token: int) -> str:
    start, end = list(backbone.tokenize(spec.target))[token]
    return f"“{spec.target[start:end] or '(none)'}”"

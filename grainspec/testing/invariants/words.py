"""Which words act on which regions."""

from __future__ import annotations

import math

from grainspec.testing.broken import Broken
from grainspec.testing.case import Case
from grainspec.testing.invariants.registry import invariant
from grainspec.words import bind_phrases


@invariant("words")
def words(case: Case) -> None:
    """A word of the prompt is positive exactly for the regions whose phrases contain it."""
    plan, owners = case.plan, _owners(case)
    crossing = plan.cross_relation_CT
    for number, members in enumerate(plan.members_CE):
        regions = [e.region for e, m in zip(plan.edits, members, strict=True) if m]
        for token, owning in enumerate(owners):
            positive = not owning.isdisjoint(regions)
            if crossing[number, token] != positive:
                kind = "negative" if positive else "positive"
                message = f"the word {_word(case, token)} is {kind}"
                raise Broken("words", message, region=" and ".join(regions) or "none", token=token)


@invariant("unbound")
def unbound(case: Case) -> None:
    """Words of no edit repel by the share `unbound`, and all other words fully."""
    for token, owning in enumerate(_owners(case)):
        share = 1.0 if owning else case.spec.modulation.unbound
        actual = float(case.plan.repel_shares_T[token])
        if not math.isclose(actual, share, abs_tol=1e-6):
            message = f"the word {_word(case, token)} repels by {actual:g}, not {share:g}"
            raise Broken(
                "unbound", message, region=" and ".join(sorted(owning)) or "none", token=token
            )


def _owners(case: Case) -> list[set[str]]:
    """For every text token of the target prompt, the regions whose phrases contain it."""
    changes = case.spec.changes
    phrases = bind_phrases([edit.phrase for edit in changes], case.spec.target)
    return [
        {
            edit.region
            for edit, spans in zip(changes, phrases, strict=True)
            if any(start < last and first < end and start < end for first, last in spans)
        }
        for start, end in case.backbone.tokenize(case.spec.target)
    ]


def _word(case: Case, token: int) -> str:
    start, end = list(case.backbone.tokenize(case.spec.target))[token]
    return f"“{case.spec.target[start:end] or '(none)'}”"

"""What a plan was compiled from: it must say the clip, the spec and the backbone it belongs to."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from grainspec.model.spec import PROFILES, Edit, Free
from grainspec.plan.mask_plan import PlannedEdit
from grainspec.testing.broken import Broken
from grainspec.testing.case import Case
from grainspec.testing.invariants.expected import groups_of
from grainspec.testing.invariants.registry import invariant

_EMBEDDED = {
    "demo": "demo",
    "demo-image": "demo",
    "demo-motion": "demo",
    "demo-video": "demo_video",
}
"""The profile that ``auto`` is for an embedded model."""


@invariant("provenance")
def provenance(case: Case) -> None:
    """A plan names the frames, prompt, settings, model and edits that it was compiled from.

    Edits are in the order of the spec, those that are `free` last. Every edit with words has their
    places in the prompt, and the text tokens there; free regions have none.
    """
    plan = case.plan
    expected = {
        "frames": (plan.frames, tuple(case.layout.frames)),
        "target": (plan.target, case.spec.target),
        "backbone": (plan.backbone, case.backbone.name),
        "training_steps": (plan.training_steps, case.backbone.training_steps),
        "groups": ([list(group) for group in plan.groups], groups_of(case)),
    }
    for name, (actual, wanted) in expected.items():
        if actual != wanted:
            raise Broken("provenance", f"{name}: the plan has {actual!r}, not {wanted!r}")
    for name, wanted in _settings(case):
        actual = getattr(plan.attention, name)
        if actual != wanted:
            message = f"`{name.rstrip('_')}` of `attention` is {actual!r}, not {wanted!r}"
            raise Broken("provenance", message)
    for index, (planned, claim) in enumerate(zip(plan.edits, case.spec.claims, strict=True)):
        for name, wanted in _statement(claim).items():
            actual = getattr(planned, name)
            if actual != wanted:
                message = f"edit {index + 1}: {name} is {actual!r}, not {wanted!r}"
                raise Broken("provenance", message, region=claim.region)
        _words(case, index, planned)


def _settings(case: Case) -> Iterator[tuple[str, object]]:
    """The settings of attention: those that the spec gives, and the profile's for the rest."""
    written = {name: value for name, value in case.spec.attention if value is not None}
    named = written.get("profile", "auto")
    automatic = _EMBEDDED.get(case.spec.model, "stable_diffusion")
    profile = PROFILES[automatic if named == "auto" else named]
    for field in type(profile).model_fields:
        yield field, written.get(field, getattr(profile, field))


def _statement(claim: Edit | Free) -> dict[str, object]:
    """What a planned edit repeats of its statement."""
    if isinstance(claim, Free):
        alone = {"grain": None, "owner": None, "phrase": "", "weight": 1.0, "repel": 1.0}
        return {"region": claim.region, "verb": "free", **alone}
    return {
        "region": claim.region,
        "verb": claim.verb,
        "grain": claim.grain,
        "owner": claim.owner,
        "phrase": claim.phrase,
        "weight": claim.weight,
        "repel": claim.weight if claim.repel is None else claim.repel,
    }


def _words(case: Case, index: int, planned: PlannedEdit) -> None:
    """The spans are in the prompt, in order, and the text tokens are those that they touch."""
    target, claim = case.spec.target, case.spec.claims[index]
    spans = [tuple(span) for span in planned.spans]
    if bool(spans) != isinstance(claim, Edit):
        message = "no words of the prompt" if not spans else f"words of the prompt: {spans}"
        raise Broken("provenance", f"the edit has {message}", region=claim.region)
    ends = [place for span in spans for place in span]
    inside = all(0 <= start < end <= len(target) for start, end in spans)
    if not inside or ends != sorted(ends):
        message = f"its words are at {spans}, of a prompt with {len(target)} characters"
        raise Broken("provenance", message, region=claim.region)
    places = list(case.backbone.tokenize(target))
    touched = [
        tuple(
            token
            for token, (first, last) in enumerate(places)
            if max(first, start) < min(last, end)
        )
        for start, end in spans
    ]
    if [tuple(tokens) for tokens in planned.tokens] != touched:
        message = f"its text tokens are {list(planned.tokens)}, not {touched}"
        raise Broken("provenance", message, region=claim.region)
    row = np.flatnonzero(case.plan.words_ET[index]).tolist()
    union = sorted({token for tokens in touched for token in tokens})
    if row != union:
        message = f"words_ET has its text tokens {row}, not {union}"
        raise Broken("provenance", message, region=claim.region)

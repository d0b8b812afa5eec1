"""Whole specs, valid by construction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

from hypothesis import strategies as st

from grainspec.checks.method import check_method
from grainspec.model.spec import (
    MAX_LEVEL,
    MAX_WEIGHT,
    Edit,
    EditSpec,
    Free,
    Keep,
    Region,
    Variant,
    Video,
    Without,
)
from grainspec.testing.strategies.blocks import (
    CLIP,
    blocks,
    blocks_of_variant,
    without_contradiction,
)
from grainspec.testing.strategies.regions import read_expression
from grainspec.testing.strategies.values import BYTES, Rolls
from grainspec.testing.strategies.words import FIRST, LOOKS, Look, names, paths, prompt_of, texts

Statements = tuple[Edit | Keep | Free, ...]


@st.composite
def specs(draw: st.DrawFn, *, max_level: int = MAX_LEVEL, variants: int = 2) -> EditSpec:
    """Valid specs: every name is defined, every phrase is in the target prompt.

    Levels are at most ``max_level``, and there are at most ``variants`` variants.

    >>> from grainspec import check
    >>> from hypothesis import given, settings
    >>> @settings(max_examples=5)
    ... @given(specs())
    ... def has_no_error(spec):
    ...     assert not any(finding.is_error for finding in check(spec))
    >>> has_no_error()
    """
    drawn, levels = draw(REGIONS), tuple(range(max_level + 1))
    known = unique([region.name for region in drawn])
    regions = tuple(
        Region(name=name, expression=read_expression(region.rolls, known[:index]))
        for index, (name, region) in enumerate(zip(known, drawn, strict=True))
    )
    target, edits = statements(draw, [region.claim for region in drawn], known)
    rolls = Rolls(draw(BYTES))
    spec = EditSpec(
        video=Video.model_validate({**CLIP(rolls), "path": _path(draw, rolls, ("c",))}),
        model=_path(draw, rolls, ("demo", "owner/name", "./folder")),
        motion_adapter=_path(draw, rolls, ("", "owner/adapter")),
        source=_text(draw, rolls),
        target=target,
        negative=_text(draw, rolls),
        regions=regions,
        edits=edits,
        **blocks(draw, levels),
    )
    if not variants:
        return spec
    listed = draw(_variants(variants))
    named = unique([variant.name for variant in listed])
    made = tuple(
        _variant(draw, name, variant, spec, levels)
        for name, variant in zip(named, listed, strict=True)
    )
    return spec.model_copy(update={"variants": made})


def _text(draw: st.DrawFn, rolls: Rolls) -> str:
    return draw(texts()) if rolls.of((False, True)) else ""


def _path(draw: st.DrawFn, rolls: Rolls, usual: Sequence[str]) -> str:
    return draw(paths()) if rolls.of((False, False, True)) else rolls.of(usual)


def unique(drawn: Sequence[str]) -> list[str]:
    """Make names unique by numbers at their ends.

    >>> unique(["a", "b", "a", "a"])
    ['a', 'b', 'a2', 'a3']
    """
    made: list[str] = []
    for name in drawn:
        number, other = 1, name
        while other in made:
            number += 1
            other = f"{name}{number}"
        made.append(other)
    return made


# --- a region and its statement ---


@dataclass(frozen=True)
class Claim:
    """A statement about a region that is chosen later."""

    form: Any
    turn: int = 0
    look: Look = ("", False)
    weight: float = 1
    repel: float | None = None
    owner: int = 0


_PLAIN = (None, "edit", False, False)
_EDITS = [
    ("class", "edit", False),
    ("instance", "edit", False),
    ("part", "edit", False),
    ("part", "edit", True),
    ("part", "edit", True),
    ("part", "add", True),
]
"""For each form of edit: its grain, its verb, and whether it has an owner."""
_FORMS: list[Any] = [
    _PLAIN,
    None,
    Keep,
    Free,
    *((*edit, repels) for edit, repels in product(_EDITS, (False, True))),
]
"""A statement's form: None, ``Keep``, ``Free``, or an edit. An edit is its grain, its verb, whether
it has an owner, and whether it has its own ``repel``."""


def _claim(draw: st.DrawFn, rolls: Rolls) -> Claim:
    form, turn = rolls.of(_FORMS), rolls.upto(2)
    if not isinstance(form, tuple):
        return Claim(form, turn)
    weight, repel = rolls.number(0, MAX_WEIGHT, 1), rolls.number(0, MAX_WEIGHT, 1)
    owner = rolls.upto(255)
    return Claim(form, turn, draw(LOOKS), weight, repel if form[-1] else None, owner)


@dataclass(frozen=True)
class DrawnRegion:
    """All that is drawn about a region: together, so that Hypothesis can remove it.

    Its expression or its shape is read from ``rolls``.
    """

    name: str
    claim: Claim
    rolls: Rolls


@st.composite
def _region(draw: st.DrawFn) -> DrawnRegion:
    rolls = Rolls(draw(BYTES))
    return DrawnRegion(claim=_claim(draw, rolls), name=_name(draw, rolls), rolls=rolls)


REGIONS = st.lists(_region(), min_size=1, max_size=6)

_NAMES = ("a", "left", "bear", "x_1", "_", "hat2", "Bär", "猫", "grown", "ß")


def _name(draw: st.DrawFn, rolls: Rolls) -> str:
    return draw(names()) if rolls.of((False,) * 5 + (True,)) else rolls.of(_NAMES)


def statements(
    draw: st.DrawFn, claims: Sequence[Claim], regions: Sequence[str]
) -> tuple[str, Statements]:
    """A target prompt, and statements about regions: at least one edit, in any order."""
    pairs = sorted(zip(claims, regions, strict=False), key=lambda pair: pair[0].turn)
    if not any(isinstance(claim.form, tuple) for claim, _ in pairs):
        pairs[0] = (Claim(_PLAIN), pairs[0][1])
    looks = [claim.look for claim, _ in pairs if isinstance(claim.form, tuple)]
    target, phrases = prompt_of(looks, draw(FIRST))
    unused = iter(phrases)
    made: list[Edit | Keep | Free] = []
    edited: list[str] = []
    for claim, region in pairs:
        if claim.form is None:
            continue
        if not isinstance(claim.form, tuple):
            made.append(claim.form(region=region))
            continue
        grain, verb, owned, _ = claim.form
        owned = owned and bool(edited)  # an owner comes before its parts: no cycle
        made.append(
            Edit.model_validate(
                {
                    "verb": verb if owned else "edit",
                    "grain": grain,
                    "region": region,
                    "owner": edited[claim.owner % len(edited)] if owned else None,
                    "phrase": next(unused),
                    "weight": claim.weight,
                    "repel": claim.repel,
                }
            )
        )
        edited.append(region)
    return target, tuple(made)


# --- variants ---


@dataclass(frozen=True)
class _DrawnVariant:
    name: str
    negative: str | None
    claims: list[Claim]


@st.composite
def _drawn_variant(draw: st.DrawFn) -> _DrawnVariant:
    rolls = Rolls(draw(BYTES))
    negative, name = rolls.of((None, "", "blurry")), _name(draw, rolls)
    return _DrawnVariant(name, negative, [_claim(draw, rolls) for _ in range(1 + rolls.upto(4))])


@cache
def _variants(most: int) -> st.SearchStrategy[list[_DrawnVariant]]:
    return st.lists(_drawn_variant(), max_size=most)


@st.composite
def variants(draw: st.DrawFn) -> Variant:
    """Variants of a spec that is drawn, too."""
    spec, drawn = draw(specs(variants=0)), draw(_drawn_variant())
    return _variant(draw, drawn.name, drawn, spec, tuple(range(MAX_LEVEL + 1)))


def _variant(
    draw: st.DrawFn, name: str, drawn: _DrawnVariant, spec: EditSpec, levels: tuple[int, ...]
) -> Variant:
    """A variant with its own target, without the spec's edits that do not fit that target."""
    target, edits = statements(draw, drawn.claims, [region.name for region in spec.regions])
    said = {edit.region for edit in edits}
    left = [Without(region=edit.region) for edit in spec.edits if edit.region not in said]
    blocks = blocks_of_variant(draw, levels)
    if (
        (spec.inject or spec.freeu)
        and "sampler" in blocks
        and blocks["sampler"].process == "flow_edit"
    ):
        blocks["sampler"] = blocks["sampler"].replaced({}, process=None)
    if "method" in blocks and any(f.is_error for f in check_method(spec, blocks["method"])):
        blocks.pop("method")
    without_contradiction(blocks, blocks.get("method") or spec.method)
    return Variant(
        name=name, target=target, negative=drawn.negative, edits=(*edits, *left), **blocks
    )

"""Whole specs, valid by construction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any, get_args

from hypothesis import strategies as st

from grainspec.model.spec import (
    BLOCKS,
    MAX_LEVEL,
    MAX_WEIGHT,
    Attention,
    Blend,
    Block,
    Control,
    ControlKind,
    Edit,
    EditSpec,
    Flow,
    Free,
    Keep,
    Profile,
    Region,
    Sampler,
    SamplerMethod,
    Size,
    Variant,
    Video,
    Without,
)
from grainspec.testing.strategies.regions import ORDER, boxes, filled_in, unfilled
from grainspec.testing.strategies.settings import settings
from grainspec.testing.strategies.values import numbers
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
    # Everything about a region is drawn together, so that Hypothesis can remove it when shrinking.
    drawn = draw(_REGIONS)
    known = [name for name, *_ in drawn]
    regions = tuple(
        Region(name=name, expression=filled_in(expression, first, known[:index]))
        for index, (name, expression, first, _) in enumerate(drawn)
    )
    target, edits = _statements(draw, [claim for *_, claim in drawn], known)
    spec = EditSpec(
        video=Video(path=draw(paths()), **draw(_CLIP)),
        model=draw(st.sampled_from(["demo", "owner/name", "./folder"]) | paths()),
        source=draw(texts()),
        target=target,
        negative=draw(texts()),
        regions=regions,
        edits=edits,
        **{field: draw(strategy) for field, strategy in _blocks(max_level).items()},
    )
    named = draw(st.lists(names(), max_size=variants, unique=True)) if variants else []
    made = tuple(_variant(draw, name, spec, max_level) for name in named)
    return spec.model_copy(update={"variants": made})


@dataclass(frozen=True)
class _Claim:
    """A statement about a region that is chosen later."""

    form: Any
    turn: int = 0
    look: Look = ("", False)
    weight: float = 1
    repel: float | None = None
    owner: int = 0


@cache
@st.composite
def _claims(draw: st.DrawFn) -> _Claim:
    turn, form = draw(_FORMS)
    if not isinstance(form, tuple):
        return _Claim(form, turn)
    weights = numbers(0, MAX_WEIGHT, 1)
    return _Claim(
        form,
        turn,
        draw(LOOKS),
        draw(weights),
        draw(weights) if form[-1] else None,
        draw(ORDER) if form[2] else 0,
    )


_PLAIN = (None, "edit", False, False)
_EDITS = [
    ("class", "edit", False),
    ("instance", "edit", False),
    ("part", "edit", False),
    ("part", "edit", True),
    ("part", "add", True),
]
"""For each form of edit: its grain, its verb, and whether it has an owner."""
_FORMS: st.SearchStrategy[Any] = st.sampled_from(
    [
        *product(
            range(3),
            [
                _PLAIN,
                None,
                Keep,
                Free,
                *((*edit, repels) for repels in (False, True) for edit in _EDITS),
            ],
        )
    ]
)
"""A statement's order, and its form: None, ``Keep``, ``Free``, or an edit. An edit is its
grain, its verb, whether it has an owner, and whether it has its own ``repel``."""

_REGIONS = st.lists(
    st.tuples(names(), unfilled(), ORDER, _claims()),
    min_size=1,
    max_size=5,
    unique_by=lambda drawn: drawn[0],
)


def _statements(
    draw: st.DrawFn, claims: Sequence[_Claim], regions: Sequence[str]
) -> tuple[str, Statements]:
    """A target prompt, and statements about regions: at least one edit, in any order."""
    pairs = sorted(zip(claims, regions, strict=False), key=lambda pair: pair[0].turn)
    if not any(isinstance(claim.form, tuple) for claim, _ in pairs):
        pairs[0] = (_Claim(_PLAIN), pairs[0][1])
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


def _variant(draw: st.DrawFn, name: str, spec: EditSpec, max_level: int) -> Variant:
    """A variant with its own target, without the spec's edits that do not fit that target."""
    target, edits = _statements(draw, draw(_CLAIMS), [region.name for region in spec.regions])
    said = {edit.region for edit in edits}
    left = [Without(region=edit.region) for edit in spec.edits if edit.region not in said]
    return Variant(
        name=name,
        target=target,
        negative=draw(st.sampled_from([None, "", "blurry"])),
        edits=(*edits, *left),
        **{field: draw(strategy) for field, strategy in _blocks_of_variant(max_level).items()},
    )


_CLAIMS = st.lists(_claims(), min_size=1, max_size=5)

_CLIP = settings(
    Video,
    step=st.integers(1, 4),
    size=st.just(Size(width=512, height=384)),
    crop=boxes(moving=False),
    alpha=st.integers(0, 0xFFFFFF).map(lambda n: f"#{n:06x}"),
)


# --- blocks of settings --------------------------------------------------------------------------

Settings = st.SearchStrategy[dict[str, Any]]


@cache
def _blocks(max_level: int) -> dict[str, st.SearchStrategy[Any]]:
    """The blocks of a spec but its clip, by their fields."""
    blocks = {}
    for word, block in BLOCKS.items():
        if word == "video":
            continue
        blocks[block.field] = _nodes(block, _settings(word, max_level))
    return blocks


def _nodes(block: Block, drawn: Settings) -> st.SearchStrategy[Any]:
    """What a spec holds of a block with these settings."""
    made = drawn.map(block.model.model_validate)
    if block.several:
        return st.lists(made, max_size=1).map(lambda nodes: tuple(nodes))
    return st.none() | made if block.off else made


@cache
def _blocks_of_variant(max_level: int) -> dict[str, st.SearchStrategy[Any]]:
    """The blocks of a variant, by their fields."""
    return {
        block.field: _settings(word, max_level).map(block.in_variant.model_validate)
        for word, block in BLOCKS.items()
        if block.in_variant
    }


@cache
def _settings(word: str, max_level: int) -> Settings:
    """The settings of a block: any in their ranges, or those that fit each other."""
    special = _SPECIAL.get(word)
    return special(max_level) if special else settings(BLOCKS[word].model, max_level)


def _attention(max_level: int) -> Settings:
    return settings(
        Attention,
        max_level,
        profile=st.sampled_from(get_args(Profile)),
        until_timestep=numbers(0, 1000),
        decay=numbers(0, 10),
    )


def _flow(max_level: int) -> Settings:
    dis = settings(Flow, max_level, method=None, weights=None)
    raft = settings(Flow, max_level, method=None).map(lambda drawn: {**drawn, "method": "raft"})
    return dis | raft


def _context(_: int) -> Settings:
    return st.builds(
        lambda overlap, keys, own: {
            "frames": overlap + keys + own,
            "overlap": overlap,
            "keys": keys,
        },
        st.sampled_from([4, 0, 1, 2]),
        st.sampled_from([2, 0, 1, 3]),
        st.integers(1, 12),
    )


def _sampler(_: int) -> Settings:
    method = st.sampled_from(get_args(SamplerMethod))
    # No `eta`, which only one of the methods takes.
    return settings(Sampler, method=method, steps=st.integers(1, 60), eta=None)


def _control(_: int) -> Settings:
    return st.tuples(
        st.sampled_from(get_args(ControlKind)),
        settings(Control, start=numbers(0, 0.5), until=numbers(0.6, 1, 1)),
    ).map(lambda drawn: {"kind": drawn[0], **drawn[1]})


def _blend(_: int) -> Settings:
    return st.one_of(  # `from` is about latents, and without a space nothing has an effect
        settings(Blend, space=st.sampled_from(["latents", "both"])),
        settings(Blend, space=st.just("pixels"), start=None),
        settings(Blend, space=st.just("none"), start=None, feather=None),
    )


_SPECIAL: dict[str, Callable[[int], Settings]] = {
    "attention": _attention,
    "flow": _flow,
    "context": _context,
    "sampler": _sampler,
    "control": _control,
    "blend": _blend,
}
"""The blocks whose settings depend on each other, or which have a word before the brace."""

"""Specs and texts with exactly one fault, and the code of the error that it causes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache

from hypothesis import strategies as st

from grainspec.model.declaration import Declaration, head_of, settings_of
from grainspec.model.expressions import ALL, Box, Difference, Keyframe, Length, Reference
from grainspec.model.spec import (
    BLOCKS,
    Edit,
    EditSpec,
    Free,
    Keep,
    Region,
    Statement,
    Variant,
    Without,
)
from grainspec.testing.strategies.grain_texts import KEPT, grain_texts
from grainspec.testing.strategies.specs import specs
from grainspec.text.printer import dumps

_NEW = "a_region_of_its_own"
"""A region name that no strategy draws: drawn names have at most eight characters."""
_OTHER = "another_of_its_own"


def faulty_specs(codes: Collection[str] | None = None) -> st.SearchStrategy[tuple[EditSpec, str]]:
    """Specs without variants, or with a faulty one, in which exactly one thing is wrong.

    Each comes with the code that :func:`grainspec.check` must report, one of ``codes`` or of all
    codes. Raises KeyError for an unknown code.

    >>> from grainspec import check
    >>> from hypothesis import given, settings
    >>> @settings(max_examples=5)
    ... @given(faulty_specs())
    ... def is_found(made):
    ...     spec, code = made
    ...     assert [finding.code for finding in check(spec) if finding.is_error] == [code]
    >>> is_found()
    """
    known = sorted(SPEC_FAULTS) if codes is None else sorted(codes)
    return _faulty_specs(tuple((code, SPEC_FAULTS[code]) for code in known))


def faulty_texts(codes: Collection[str] | None = None) -> st.SearchStrategy[tuple[str, str]]:
    """``.grain`` text in which exactly one thing is wrong, and the code of its error.

    Raises KeyError for an unknown code.

    >>> from hypothesis import find
    >>> text, code = find(faulty_texts(["G007"]), lambda made: True)
    >>> print(text.splitlines()[-1])
    target "another target"
    """
    every = {**SPEC_FAULTS, **TEXT_FAULTS}
    known = [code for code in sorted(every if codes is None else codes) if every[code]]
    return _faulty_texts(
        tuple((code, SPEC_FAULTS.get(code), TEXT_FAULTS.get(code, ())) for code in known)
    )


@cache
@st.composite
def _faulty_specs(
    draw: st.DrawFn, faults: tuple[tuple[str, SpecFault], ...]
) -> tuple[EditSpec, str]:
    code, spoil = draw(st.sampled_from(faults))
    return spoil(draw(specs(variants=0))), code


@cache
@st.composite
def _faulty_texts(
    draw: st.DrawFn, faults: tuple[tuple[str, SpecFault | None, tuple[TextFault, ...]], ...]
) -> tuple[str, str]:
    code, in_spec, in_text = draw(st.sampled_from(faults))
    if in_text:
        return draw(st.sampled_from(in_text))(draw(grain_texts(settings=False))), code
    assert in_spec
    return dumps(in_spec(draw(specs(variants=0)))), code


# --- faults of a spec's meaning ---

SpecFault = Callable[[EditSpec], EditSpec]
"""From a valid spec to one with a single fault."""

SPEC_FAULTS: dict[str, SpecFault] = {}
"""A function that puts a fault into a valid spec, by the code of the error that it causes."""


def _as(code: str) -> Callable[[SpecFault], SpecFault]:
    def register(fault: SpecFault) -> SpecFault:
        SPEC_FAULTS[code] = fault
        return fault

    return register


def _with(
    spec: EditSpec, regions: tuple[Region, ...] = (), edits: tuple[Statement, ...] = ()
) -> EditSpec:
    both = {"regions": (*spec.regions, *regions), "edits": (*spec.edits, *edits)}
    return spec.model_copy(update=both)


def _region(name: str = _NEW, of: str | None = None) -> Region:
    return Region(name=name, expression=Reference(name=of) if of else ALL)


@_as("G008")
def _no_target(spec: EditSpec) -> EditSpec:
    return spec.model_copy(update={"target": ""})


@_as("G101")
def _unknown_name(spec: EditSpec) -> EditSpec:
    items = (Reference(name=spec.regions[0].name), Reference(name=_OTHER))
    return _with(spec, (Region(name=_NEW, expression=Difference(items=items)),))


@_as("G102")
def _same_name(spec: EditSpec) -> EditSpec:
    return _with(spec, (_region(spec.regions[0].name),))


@_as("G104")
def _words_elsewhere(spec: EditSpec) -> EditSpec:
    return _with(spec, (_region(),), (Edit(region=_NEW, phrase="zeppelin"),))


@_as("G105")
def _words_twice(spec: EditSpec) -> EditSpec:
    return _with(spec, (_region(),), (Edit(region=_NEW, phrase=spec.changes[0].phrase),))


@_as("G106")
def _circle(spec: EditSpec) -> EditSpec:
    return _with(spec, (_region(_NEW, _OTHER), _region(_OTHER, _NEW)))


@_as("G107")
def _kept_and_edited(spec: EditSpec) -> EditSpec:
    return _with(spec, (), (Keep(region=spec.changes[0].region),))


@_as("G108")
def _no_edit(spec: EditSpec) -> EditSpec:
    return spec.model_copy(update={"edits": ()})


@_as("G109")
def _edited_twice(spec: EditSpec) -> EditSpec:
    return _with(spec, (), (Free(region=spec.changes[0].region),))


@_as("G110")
def _nothing_to_leave_out(spec: EditSpec) -> EditSpec:
    variant = Variant(name=_OTHER, edits=(Without(region=_NEW),))
    return _with(spec, (_region(),)).model_copy(update={"variants": (variant,)})


@_as("G309")
def _flat_box(spec: EditSpec) -> EditSpec:
    left, right = (Length(value=value, unit="%") for value in (10, 60))
    key = Keyframe(x0=right, y0=left, x1=left, y1=right)
    return _with(spec, (Region(name=_NEW, expression=Box(kind="box", keyframes=(key,))),))


# --- faults of the text ---

TextFault = Callable[[str], str]
"""From valid text without settings to text with a single fault."""


def _ending(line: str) -> TextFault:
    return lambda text: f"{text}\n{line}\n"


def _settings(written: Callable[[Declaration], str | None]) -> tuple[TextFault, ...]:
    """One fault for each setting of each block that the text does not have, if possible."""
    return tuple(
        _ending(f"{_head(word)} {{ {fault} }}")
        for word, block in BLOCKS.items()
        if word not in KEPT
        for declared in settings_of(block.model).values()
        if (fault := written(declared)) is not None
    )


def _head(word: str) -> str:
    """A block up to its brace: its word, and the value before the brace if there must be one."""
    head = head_of(BLOCKS[word].model)
    return f"{word} {head.choices[0]}" if head and head.required else word


_WRONG_KIND = {
    "percent": "0.5",
    "decimal": "30%",
    "whole": "1.5",
    "choice": "12",
    "levels": "12px",
    "layers": "12px",
    "text": "12",
    "path": "12",
}
"""For each kind, a value of another kind."""


def _misspelt(declared: Declaration) -> str:
    return f"{declared.keyword}{declared.keyword[-1]} 1"


def _of_another_kind(declared: Declaration) -> str:
    return f"{declared.keyword} {_WRONG_KIND[declared.kind]}"


def _too_large(declared: Declaration) -> str | None:
    """A setting just above its range; None if it has no range."""
    if declared.high is None:
        return None
    sign = "%" if declared.kind == "percent" else ""
    return f"{declared.keyword} {int(declared.high * (100 if sign else 1)) + 1}{sign}"


def _without_value(declared: Declaration) -> str:
    return declared.keyword


TEXT_FAULTS: dict[str, tuple[TextFault, ...]] = {
    "G001": (_ending(f"region {_NEW} = all ->"),),
    "G002": (_ending(f'region {_NEW} = masks("masks'),),
    "G003": (_ending(f"region {_NEW} = all ;"),),
    "G004": (_ending(f"region {_NEW} = {'(' * 400}all{')' * 400}"),),
    "G005": (lambda text: text.replace("grain 1", "", 1),),
    "G007": (_ending('target "another target"'),),
    "G010": (_ending(f"variant {_NEW} {{ region {_OTHER} = all }}"),),
    "G201": _settings(_misspelt),
    "G202": _settings(_of_another_kind),
    "G203": _settings(_too_large),
    "G204": _settings(_without_value),
    "G205": (_ending(f"region {_NEW} = bax(10%, 10%, 20%, 20%)"),),
}
"""Functions that put a fault into a text without settings, by the code of the error."""

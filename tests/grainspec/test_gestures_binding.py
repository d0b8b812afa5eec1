"""Words that are bound to regions, and regions that are kept or renamed."""

from __future__ import annotations

from typing import Any

from clips import EXAMPLES
from gesture_texts import (
    SPEC,
    after,
    apart,
    changes,
    gesture,
    refusal,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from grainspec import EditSpec, GrainError, parse
from grainspec.analysis.document import Document
from grainspec.analysis.edits import applied, inverse
from grainspec.model.spec import Edit
from grainspec.testing import grain_texts
from grainspec.text.format import format_text


def test_words_are_bound_to_regions() -> None:
    kept = changes(SPEC, kind="bind", region="b", words="Yellow  bear")
    assert kept == ['edit b             -> "yellow bear"  # stays']
    at = SPEC.index("ellow be")
    made = gesture(SPEC, kind="bind", region="b", words=[at, at + 8])
    text = applied(SPEC, made.edits)
    assert made.select
    assert text[slice(*made.select)] == "yellow bear"
    assert changes(SPEC, kind="bind", region="left", words="grass") == [
        'edit instance left -> "grass"'
    ]
    fresh = after(SPEC, kind="box", region="far_right", points=[[0.6, 0], [1, 1]])
    bound = after(fresh, kind="bind", region="far_right", words="yellow bear")
    assert 'edit far_right     -> "yellow bear"\nkeep b  # stays' in bound
    assert [line for line in SPEC.splitlines() if line not in bound.splitlines()] == []


def test_words_of_a_variant_are_bound_in_it() -> None:
    text = (EXAMPLES / "variants.grain").read_text()
    start = text.index("blue man", text.index("variant left"))
    bound = after(text, kind="bind", region="right", words=[start, start + 8])
    (variant,) = [one for one in parse(bound).variants if one.name == "left"]
    assert [edit for edit in variant.edits if isinstance(edit, Edit)] == [
        Edit(region="right", phrase="blue man")
    ]
    assert "without" not in bound[bound.index("variant left") : bound.index("variant right")]
    assert format_text(bound) == bound


def test_regions_are_kept() -> None:
    assert after(SPEC, kind="keep", region="b") == SPEC
    assert "\nkeep left\nkeep b" in after(SPEC, kind="keep", region="left")
    sky = after(SPEC, kind="box", region="sky", points=[[0, 0], [1, 0.2]])
    assert "\nkeep b, sky  # stays\n" in after(sky, kind="keep", region="sky")


def test_regions_are_renamed() -> None:
    text = after(SPEC, kind="rename", region="b", name="bear")
    assert "keep bear  # stays" in text
    assert parse(text).regions[1].name == "bear"
    assert refusal(SPEC, kind="rename", region="b", name="left")[0] == "G102"
    assert refusal(SPEC, kind="rename", region="b", name="9 lives")[0] == "G202"


def test_selections_are_words_of_the_prompt_without_escapes() -> None:
    text = 'target "🐻 a \\"big\\" bear, he said"\nregion a = all\n'
    at = text.index("ig")
    assert 'edit a -> "\\"big\\" bear"' in after(
        text, kind="bind", region="a", words=[at - 3, text.index("ear") + 5]
    )
    assert 'edit a -> "big"' in after(text, kind="bind", region="a", words=[at, at + 1])


@given(grain_texts(settings=False), st.data())
@settings(max_examples=30, deadline=None)
def test_words_and_deletions_change_one_region(text: str, data: st.DataObject) -> None:
    spec = parse(text)
    name = data.draw(st.sampled_from([region.name for region in spec.regions]))
    words = spec.target.split()
    kind = data.draw(st.sampled_from(["bind", "keep", "delete"]))
    given_ = {"words": data.draw(st.sampled_from(words))} if kind == "bind" else {}
    try:
        made = gesture(text, kind=kind, region=name, cascade=kind == "delete", **given_)
    except GrainError as error:
        codes = {"G104", "G105", "G109", "G713", "G714"}
        assert error.diagnostics[0].code in codes
        return
    new_text = applied(text, made.edits)
    assert applied(new_text, inverse(text, made.edits)) == text
    new = Document(new_text, None).draft
    assert new
    assert apart(new, "edits", "regions") == apart(spec, "edits", "regions")
    assert sorted(elsewhere(new, name), key=str) == sorted(elsewhere(spec, name), key=str)
    said = [edit for edit in new.edits if edit.region == name]
    if kind == "delete":
        assert said == []
        assert new.regions == tuple(region for region in spec.regions if region.name != name)
    else:
        assert new.regions == spec.regions
        assert len(said) == 1
        assert said[0].verb == "keep" if kind == "keep" else isinstance(said[0], Edit)


def elsewhere(spec: EditSpec, name: str) -> list[Any]:
    """The statements that have nothing to do with a region."""
    return [edit for edit in spec.edits if name not in (edit.region, getattr(edit, "owner", None))]

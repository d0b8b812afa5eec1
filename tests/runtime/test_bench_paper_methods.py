"""The rows of the paper's comparison: which methods a model runs, and with which settings."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from wan import tiny_wan

from grainspec import parse
from grainspec.model.settings.method import Method as TechniqueSettings
from grainspec.model.settings.profiles import PROFILES
from grainspec_runtime.bench import kinds as kinds_module
from grainspec_runtime.bench.cases import make_case
from grainspec_runtime.bench.clip_cases import make_clip_case
from grainspec_runtime.bench.clips import RenderedCase
from grainspec_runtime.bench.methods import POSE, Method
from grainspec_runtime.bench.own.methods import own_methods
from grainspec_runtime.bench.paper import choose as choose_module
from grainspec_runtime.bench.paper import maps as maps_module
from grainspec_runtime.bench.paper import tables as tables_module
from grainspec_runtime.bench.paper.ablations import SETTINGS
from grainspec_runtime.bench.paper.choose import Chosen, choose
from grainspec_runtime.bench.paper.maps import overlap
from grainspec_runtime.bench.paper.methods import (
    IMAGE,
    OTHER_THRESHOLD,
    OWN_GUIDANCE,
    PUBLISHED,
    SMOOTHED,
    UNSMOOTHED,
    VIDEO,
    WITH_MASKS,
    WITHOUT_POSES,
)
from grainspec_runtime.prepare import prepare
from grainspec_runtime.processes.departures import departures
from grainspec_runtime.processes.methods.maps import word_weights

CASE = make_clip_case(0, "held-out")
PAPERS = ("FateZero", "ControlVideo", "TokenFlow", "Ground-A-Video", "DMT", "Video-P2P", "DFVEdit")


@pytest.mark.parametrize("module", [kinds_module, maps_module, tables_module])
def test_examples_in_docstrings(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_every_method_of_the_paper_is_there_as_published_and_with_our_masks() -> None:
    names = {method.name for method in PUBLISHED}
    boxed = "Ground-A-Video"  # has the regions as published
    assert names == {*PAPERS, *(name + WITH_MASKS for name in PAPERS if name != boxed)}
    for method in PUBLISHED:
        assert method.technique is not None
        with_regions = method.name == boxed or method.name.endswith(WITH_MASKS)
        assert method.technique["regions"] == ("both" if with_regions else "off")
        assert method.technique.get("null_updates") == (0 if method.name == boxed else None)
        on_video = method.technique["name"] in ("dmt", "dfvedit")
        assert method.control == (None if on_video else POSE), method.name
    named = {method.name: method for method in PUBLISHED}
    assert named["DFVEdit"].sampler == {"guidance": 2.0, "source_guidance": 1.0}
    assert OWN_GUIDANCE[0].sampler == {"guidance": 15.0, "source_guidance": 5.0}
    for name, weight in (("Video-P2P", 0.5), ("Video-P2P + our masks", 1.0)):
        method = named[name]
        assert method.technique is not None
        assert (method.technique["reweight"], method.place_weight) == (4.0, weight)
        assert method.attention == {"frames": "sparse_causal"}
    assert named["FateZero"].attention == {"frames": "first_last"}
    assert [(it.name, it.technique) for it in OTHER_THRESHOLD] == [
        (f"{name}, threshold 60 %", {**(named[name].technique or {}), "mask_threshold": 0.6})
        for name in ("FateZero", "Video-P2P")
    ]


def test_what_smoothing_does_is_told_apart_in_both_directions() -> None:
    assert [(it.name, it.sampler) for it in SMOOTHED] == [("ours, smoothed", {"smooth_from": 0.8})]
    assert [it.name for it in UNSMOOTHED] == ["ControlVideo + our masks, unsmoothed"]
    ours, smoothed = IMAGE[0].spec(CASE, 20), SMOOTHED[0].spec(CASE, 20)
    sampler = smoothed.sampler.model_copy(update={"smooth_from": 1.0})
    assert smoothed.model_copy(update={"sampler": sampler}) == ours
    [controlled] = (it for it in PUBLISHED if it.name == "ControlVideo + our masks")
    assert UNSMOOTHED[0].technique == {**(controlled.technique or {}), "smooth_from": 1.0}


def test_short_clips_have_two_key_frames() -> None:
    [method] = (it for it in PUBLISHED if it.name == "TokenFlow")
    for case, interval in ((CASE, None), (make_case(0, "held-out"), 4)):
        made = method.spec(case, 4).method
        assert made is not None
        assert made.interval == interval


def test_only_rows_that_say_so_are_without_the_paper_s_controlnet() -> None:
    for method in (*IMAGE, *SETTINGS):
        assert method.control == POSE, method.name
    assert [method.name for method in WITHOUT_POSES] == ["ours, unposed", "VideoGrain, unposed"]
    assert not any(method.control for method in WITHOUT_POSES)
    posed = choose("demo-image", CASE, flow_matching=False).tables
    for table in ("temporal", "modulation", "settings", "comparison"):
        for method in posed[table]:  # type: ignore[index]
            assert bool(method.control) != ("unposed" in method.name), method.name


def test_what_a_model_runs_and_what_it_does_not_with_reasons(tmp_path: Path) -> None:
    rows = (*IMAGE, *SMOOTHED, *WITHOUT_POSES, *VIDEO, *PUBLISHED, *UNSMOOTHED, *SETTINGS)
    everything = {m.name for m in rows}
    scopes = {"scope each", "scope first-last", "scope sparse", "scope full"}
    wan = tiny_wan(tmp_path / "wan")
    for model, flow in (("demo-image", False), (str(wan), True)):
        chosen = choose(model, CASE, flow_matching=flow)
        run, skipped = {method.name for method in chosen.methods}, set(chosen.not_run)
        assert everything <= run | skipped
        assert not run & skipped
        assert all(chosen.not_run.values())
        assert chosen.methods[0].name == "ours"
        assert scopes <= (skipped if flow else run)
        parts = {it.name for it in chosen.tables["modulation"]} - {"VideoGrain", "ours, unposed"}
        bases = ("ours",) if flow else ("ours", "VideoGrain", "ours, unposed")
        others = ("both" if flow else "cross only", "self only", "no modulation")
        assert parts - {"ours"} == {f"{base}, {other}" for base in bases for other in others}
        assert ("FlowAnchor" in run, "VideoGrain" in run) == (flow, not flow)
        assert ("DFVEdit" in run, "DFVEdit + our masks" in run) == (flow, flow)


def test_a_second_model_runs_what_the_first_cannot() -> None:
    one, two, three, four = (Method(name, "") for name in ("ours", "b", "c", "ours, unposed"))
    compared = (one, two, three, four)
    tables = {"comparison": compared, "temporal": (two,), "modulation": (), "settings": ()}
    names = {"ours", "b", "ours, unposed"}
    left = Chosen(tables, {"d": "why"}).without(names, "first")  # type: ignore[arg-type]
    assert left.methods == (one, three, four)
    assert left.not_run == {"d": "why", "b": "first runs it"}


def test_methods_that_are_named_keep_what_their_tables_compare_them_with() -> None:
    chosen = choose("demo-image", CASE, flow_matching=False)
    one = chosen.only({"FateZero", "DMT", "FlowEdit"})
    assert [method.name for method in one.methods] == ["ours", "FateZero"]
    assert set(one.not_run) == {"DMT", "FlowEdit"}
    setting = chosen.only({"VideoGrain, inject", "scope full"})
    assert {name: [m.name for m in methods] for name, methods in setting.tables.items()} == {
        "comparison": ["ours"],
        "temporal": ["scope each", "scope full"],
        "modulation": [],
        "settings": ["VideoGrain", "VideoGrain, inject"],
    }


def test_a_method_that_this_version_lacks_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = Method("Magic", "", control=None, technique={"name": "magic", "regions": "off"})
    assert lacking.missing == "this version of grainspec has no `method magic`"
    monkeypatch.setattr(choose_module, "PUBLISHED", (lacking,))
    chosen = choose("demo-image", CASE, flow_matching=False)
    assert chosen.not_run["Magic"] == lacking.missing
    assert not Method("plain", "").missing


def test_specs_state_their_method_and_smaller_weights_of_the_place() -> None:
    dfvedit = next(method for method in PUBLISHED if method.name == "DFVEdit")
    spec = dfvedit.spec(CASE, 4, "demo-video")
    assert spec.method == TechniqueSettings(name="dfvedit", regions="off")
    place = make_clip_case(4, "held-out")
    assert place.grain == "place"
    weighted = Method("", "", control=None, place_weight=0.5).spec(place, 4)
    weights = {edit.region: edit.weight for edit in weighted.changes}
    assert weights["background"] == weights["ground"] == 0.5
    assert weights["figure0"] == 1


@pytest.mark.parametrize(
    ("number", "name", "place"),
    [
        (0, "Video-P2P", 1),
        (4, "Video-P2P", 2),
        (0, "Video-P2P + our masks", 1),
        (4, "Video-P2P + our masks", 4),
    ],
)
def test_the_label_says_which_words_video_p2p_re_weights(
    number: int, name: str, place: int, tmp_path: Path
) -> None:
    case = make_clip_case(number, "held-out")
    RenderedCase(case).write(tmp_path)
    method = next(method for method in PUBLISHED if method.name == name)
    spec = method.spec(case, 2, "demo-image")
    assert spec.method is not None
    plan = prepare(spec, tmp_path).plan
    weights = set(word_weights(plan, spec.method.reweight).tolist())
    assert weights == {1, 4, place}  # 1 is that of all other words, such as `on`
    told = "; all words of edits × 4" if "masks" in name else "of edits × 4, of an edited place × 2"
    assert method.about.endswith(told)
    assert any("place that is not edited" in it for it in departures(method.publication))


def test_a_method_keeps_what_a_user_s_spec_says() -> None:
    spec = parse(
        'grain 1 video "c" source "a man" target "a bear" region r = box(0%, 0%, 50%, 50%) '
        'edit instance r -> "bear" attention { cross 0.5 } sampler ddim { steps 7 } '
        'variant v { target "a brown bear" }'
    )
    ours = Method("ours", "").applied(spec)
    assert (ours.attention, ours.sampler, ours.variants) == (spec.attention, spec.sampler, ())
    off = next(m for m in VIDEO if m.name == "FlowEdit").applied(spec)
    assert (off.attention.cross, off.sampler.steps, off.sampler.guidance) == (0, 7, 7.5)
    assert [region.name for region in off.regions] == ["everything"]
    anchored = next(m for m in VIDEO if m.name == "FlowAnchor").applied(spec)
    assert (anchored.attention.profile, anchored.sampler.amplify) == ("flowanchor", 1)
    technique = PUBLISHED[-2].applied(spec)
    assert technique.method == TechniqueSettings(name="dfvedit", regions="off")
    assert technique.regions == spec.regions


def test_only_ours_keeps_how_a_user_s_spec_makes_the_edit() -> None:
    """Five statements choose it; `method` and `process` exclude each other."""
    start = (
        'grain 1 video "c" source "a man" target "a bear" region r = box(0%, 0%, 50%, 50%) '
        'edit instance r -> "bear" variant v { target "a brown bear" } '
    )
    inverted = parse(
        start + "inject { self 40% } flow { method raft } freeu { b1 1.2 } "
        "sampler ddim { process flow_edit amplify 2 }"
    )
    published = parse(start + "method fatezero { cross_steps 60% }")
    [ours] = own_methods(("ours",))
    for spec in (inverted, published):
        assert ours.applied(spec) == spec.without_variants()
    for method in own_methods(()):
        if method.name == "ours":
            continue
        for spec in (inverted, published):
            made = method.applied(spec)
            wanted = TechniqueSettings(**method.technique) if method.technique else None
            assert made.method == wanted, method.name
            assert (made.inject, made.flow, made.freeu) == (None, None, None), method.name
            assert made.sampler.process == method.sampler.get("process"), method.name
            assert made.sampler.amplify == method.sampler.get("amplify", 0), method.name


def test_each_setting_of_the_published_code_has_a_row_of_its_own() -> None:
    """Nothing is listed by hand: a setting in which the two profiles differ has a row."""
    code, equations = PROFILES["videograin"], PROFILES["stable_diffusion"]
    differing = {k for k in type(code).model_fields if getattr(code, k) != getattr(equations, k)}
    assert {"self_area", "outside", "overlap", "resize", "timestep_offset"} <= differing
    published = IMAGE[1].attention
    alone = {
        name: method
        for method in SETTINGS
        for name in method.attention
        if method.attention["profile"] == "videograin"
        and method.attention != published
        and method.attention[name] != published.get(name)
    }
    assert set(alone) == {*differing, "norm"}
    for name, method in alone.items():
        wanted = "each" if name == "norm" else getattr(equations, name)
        assert getattr(method.spec(CASE, 4).attention, name) == wanted
        assert {**method.attention, name: None} == {**published, name: None}
    whole = {method.name: method.spec(CASE, 4) for method in SETTINGS}
    assert whole["VideoGrain, all of these"].attention.profile == "stable_diffusion"
    assert whole["VideoGrain, late blend"].blend.start == 0.25
    inject, freeu = whole["VideoGrain, inject"].inject, whole["VideoGrain, freeu"].freeu
    assert inject is not None
    assert inject.layers == "videograin"
    assert freeu is not None


def test_every_row_that_stands_for_a_publication_says_where_it_differs() -> None:
    for method in (*IMAGE, *WITHOUT_POSES, *VIDEO, *PUBLISHED):
        if method.name.startswith("ours"):
            assert not method.publication
        else:
            assert departures(method.publication), method.name


# --- maps ----------------------------------------------------------------------------------------


def test_overlap_is_that_of_as_many_tokens_as_the_region_has() -> None:
    region = np.zeros((2, 4, 4), bool)
    region[:, 1:3, 1:3] = True
    exact = np.where(region, 0.9, 0.1)
    assert overlap(exact, region) == 1
    assert overlap(-exact, region) == 0
    half = exact.copy()
    half[:, 1, 1:3] = 0.0
    half[:, 0, 0:2] = 0.5
    assert overlap(half, region) == pytest.approx(2 / 6)
    region[1] = False
    assert overlap(half, region) == pytest.approx(2 / 6)
    assert overlap(half, region & False) is None

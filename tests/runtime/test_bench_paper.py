"""The paper's tables: which methods a model runs, what the tables say, maps, the page, resuming."""

from __future__ import annotations

import doctest
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import Grain
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
from grainspec_runtime.bench.paper.against import PUBLISHED_COLUMNS, against_paper, merged
from grainspec_runtime.bench.paper.choose import Chosen, choose
from grainspec_runtime.bench.paper.maps import overlap
from grainspec_runtime.bench.paper.methods import (
    IMAGE,
    OTHER_THRESHOLD,
    OWN_GUIDANCE,
    PUBLISHED,
    SMOOTHED,
    UNBLENDED,
    UNSMOOTHED,
    VIDEO,
    WITH_MASKS,
    WITHOUT_POSES,
)
from grainspec_runtime.bench.paper.page import page
from grainspec_runtime.bench.paper.run import Measured, Part, estimate
from grainspec_runtime.bench.paper.tables import chapter
from grainspec_runtime.bench.run import SITTING, Job
from grainspec_runtime.bench.summary import MEASURES, PAPER_MEASURES, Result
from grainspec_runtime.prepare import prepare
from grainspec_runtime.processes.departures import departures
from grainspec_runtime.processes.methods.maps import word_weights

CASE = make_clip_case(0, "held-out")
PAPERS = ("FateZero", "ControlVideo", "TokenFlow", "Ground-A-Video", "DMT", "Video-P2P", "DFVEdit")


@pytest.fixture(scope="module")
def wan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_wan(tmp_path_factory.mktemp("paper") / "wan")


# --- methods -------------------------------------------------------------------------------------


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


def test_what_a_model_runs_and_what_it_does_not_with_reasons(wan: Path) -> None:
    rows = (*IMAGE, *SMOOTHED, *WITHOUT_POSES, *VIDEO, *PUBLISHED, *UNSMOOTHED, *SETTINGS)
    everything = {m.name for m in rows}
    scopes = {"scope each", "scope first-last", "scope sparse", "scope full"}
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


# --- tables --------------------------------------------------------------------------------------


def measured(cases: int = 8) -> Measured:
    """Results that are made up: ours is better by about one in everything but the time."""
    methods = tuple(Method(name, "", control=None) for name in ("ours", "other", "scope full"))
    rng = np.random.default_rng(0)
    keys = [key for key, _, _ in (*MEASURES[1:], *PAPER_MEASURES)]
    results: list[Result] = []
    for number in range(cases):
        base = rng.uniform(10, 30)
        scores = {
            method.name: {key: base + (method.name == "ours") + rng.normal(0, 0.1) for key in keys}
            | {"gpu": None}
            for method in methods
        }
        results.append(
            {"name": f"case-{number}", "asked": ["a"], "target": "b <c>", "scores": scores}
        )
    tables = {
        "comparison": methods[:2],
        "temporal": methods[2:],
        "modulation": (),
        "settings": (),
    }
    chosen = Chosen(tables, {"DMT": "no `method dmt`"})  # type: ignore[arg-type]
    job = Job("held-out", methods, 2, Path("out"), ("cpu",), 1, "demo-image", "frames", apart=1)
    entry = {"case": "case-0", "phrase": "red <man>"}
    kinds = {
        "without modulation": {"iou": 0.25, "inside": 0.5, "clip": "map-0-0.webp"},
        "with modulation": {"iou": 0.75, "inside": None, "clip": "map-0-1.webp"},
    }
    return Measured(Part(job, cases, chosen, 1), results, [entry | kinds])


def test_tables_have_means_intervals_and_only_what_was_measured() -> None:
    one = chapter(measured())
    titles = [table.title for table in one.tables]
    assert titles == [
        "Table 1: quality",
        "Table 2: cost of an edit",
        "Temporal scope",
        "Localise and edit",
    ]
    quality, cost = one.tables[:2]
    assert [name for name, _, _ in quality.rows] == ["ours", "other"]
    headings = [heading for heading, _ in quality.headings]
    assert {"CLIP-F", "CLIP-T", "Warp-Err", "Q-edit", "exact", "CIA", "distance"} <= set(headings)
    assert [heading for heading, _ in cost.headings] == ["total s", "RAM MiB"]  # no GPU was there
    assert cost.rows[0][2][0].interval.cases == 1  # type: ignore[union-attr]
    cell = quality.rows[0][2][0].interval
    assert cell is not None
    assert cell.low is not None
    assert cell.high is not None
    assert cell.low < cell.mean < cell.high
    right = [heading for heading, _ in quality.headings].index("frames right")
    low, high = quality.rows[0][2][right].bounds.split(" to ")
    assert low.endswith(" %")
    assert high.endswith(" %")
    maps = one.tables[-1].as_json()["rows"]
    assert [row["cells"][0]["mean"] for row in maps] == [0.25, 0.75]


def test_differences_are_paired_and_their_certainty_is_said() -> None:
    one = chapter(measured())
    [(name, _, cells)] = one.against_ours.rows
    assert name == "other"
    headings = [heading for heading, _ in one.against_ours.headings]
    for heading, cell in zip(headings, cells, strict=True):  # a quotient of two like values is 1
        assert cell.text.endswith("*") == (heading != "Q-edit"), heading
    assert cells[0].interval is not None
    assert cells[0].interval.mean == pytest.approx(1, abs=0.2)
    order = dict(one.order)
    assert order["CLIP-T"].startswith("ours (")
    assert order["Warp-Err"].startswith("other (")  # lower is better
    few = chapter(measured(cases=2))
    assert "too few cases (2)" in dict(few.order)["CLIP-T"]
    assert not few.against_ours.rows[0][2][0].text.endswith("*")


def test_differences_have_the_units_and_decimals_of_their_tables() -> None:
    made = measured()
    for result in made.results:
        for name, gap in (("ours", 0.0), ("other", 0.0625)):
            result["scores"][name] |= {"right": 0.875 + gap, "ssim": 0.5 - gap / 1000, "gpu": 9.0}
    one = chapter(made)
    headings = [heading for heading, _ in one.against_ours.headings]
    [(_, _, cells)] = one.against_ours.rows
    shown = {
        heading: (cell.text, cell.bounds) for heading, cell in zip(headings, cells, strict=True)
    }
    assert shown["frames right"] == ("-6 pp*", "-6 pp to -6 pp")
    assert shown["SSIM"] == ("+0.0001*", "+0.0001 to +0.0001")
    assert "pp: percentage points" in one.against_ours.about


def test_figures_that_are_right_are_in_the_tables() -> None:
    one = chapter(measured())
    for table in one.tables[:1] + one.tables[2:3]:
        assert "figures right" in [heading for heading, _ in table.headings], table.title


def test_rows_without_poses_are_put_in_order_apart() -> None:
    made = measured()
    methods = (Method("ours", ""), Method("other", ""), Method("scope full", "", control=None))
    methods += (Method("ours, unposed", "", control=None),)
    for result in made.results:
        result["scores"]["ours, unposed"] = dict(result["scores"]["ours"])
    tables = {"comparison": methods, "temporal": (), "modulation": (), "settings": ()}
    chosen = Chosen(tables, {})  # type: ignore[arg-type]
    order = dict(chapter(replace(made, part=replace(made.part, chosen=chosen))).order)
    assert "unposed" not in order["CLIP-T"]
    assert "scope full" not in order["CLIP-T"]
    assert order["CLIP-T, without poses"].startswith("ours, unposed (")
    assert "scope full" in order["CLIP-T, without poses"]
    assert set(dict(chapter(made).order)) == {key for key in order if "poses" not in key}


def of_the_paper(values: dict[str, dict[str, float]], cases: int) -> Measured:
    """Results with given values of methods, a little noise apart."""
    made = measured(cases)
    rng = np.random.default_rng(1)
    for result in made.results:
        result["scores"] = {
            name: {key: value + rng.normal(0, 0.01) for key, value in of_method.items()}
            for name, of_method in values.items()
        }
    return made


def test_the_paper_s_values_agree_with_each_other() -> None:
    """Q-edit is the quotient of a row's values, and the last row of table 3 is that of table 1."""
    of = {(it.table, it.key): it.values for it in PUBLISHED_COLUMNS}
    for table in (1, 3):
        for name, value in of[table, "q_edit"].items():
            quotient = of[table, "clip_t"][name] / of[table, "warp_flow"][name]
            assert value == pytest.approx(quotient, abs=0.02), name
    for key in ("clip_f", "clip_t", "warp_flow", "q_edit"):
        assert of[3, key]["VideoGrain"] == of[1, key]["VideoGrain"]
        assert len(of[1, key]) == 6
    lower = {it.key for it in PUBLISHED_COLUMNS if it.lower_is_better}
    assert lower == {"warp_flow", "total", "gpu", "ram"}


def test_orders_other_than_the_paper_s_are_told() -> None:
    """DMT is in another model's results, of the same cases."""
    one = of_the_paper({"VideoGrain": {"warp_flow": 5}, "TokenFlow": {"warp_flow": 6}}, 8)
    other = of_the_paper({"DMT": {"warp_flow": 4}, "TokenFlow": {"warp_flow": 0}}, 8)
    found = {it.heading: it for it in against_paper([one, other])}
    warp = found["table 1: Warp-Err"]
    assert warp.published.startswith("In the paper, the best first: VideoGrain 1.42, DMT 2.05, T")
    here, agreed, differs = warp.sentences
    assert here.startswith("Here, over 8 cases: DMT 4.0")
    assert "TokenFlow 6.0" in here or "TokenFlow 5.9" in here
    assert agreed == "Surely in the paper's order: 2 of 3 pairs."
    assert differs.startswith("Other than in the paper: DMT is better than VideoGrain by 1.0")
    assert found["table 1: CLIP-F"].sentences == ("Too few of its rows were run.",)
    few = of_the_paper({"VideoGrain": {"total": 6}, "DMT": {"total": 5}}, 2)
    cost = next(it for it in against_paper([few]) if it.heading == "table 2: total s")
    assert cost.sentences[0].startswith("Here, over 1 case: DMT 5.0")
    assert cost.published.startswith("In the paper, in minutes of an A6000, the best first: ")
    assert cost.sentences[1] == "These are too few cases to be sure of any of it."


def test_values_and_ranks_stand_beside_the_papers() -> None:
    one = of_the_paper({"VideoGrain": {"warp_flow": 5}, "TokenFlow": {"warp_flow": 4}}, 8)
    found = {it.heading: it for it in against_paper([one])}
    text = page([one], [chapter(one)], list(found.values()), about="")
    row = text.split("<td>TokenFlow</td>")[1].split("</tr>")[0]
    cells = re.findall(r"<td>(.*?)<br><b>(.*?)</b></td>", row)
    mean = found["table 1: Warp-Err"].means["TokenFlow"]
    assert cells[0] == ("96.48 (3)", "–")
    assert cells[2] == ("2.82 (3)", f"{mean:.2f} (1)")
    assert "paper: minutes; 0 cases" in text
    values = found["table 1: Warp-Err"].as_json()["values"]
    assert values["TokenFlow"] == {"paper": 2.82, "here": mean}
    assert values["DMT"] == {"paper": 2.05, "here": None}


def test_costs_of_another_run_of_the_command_are_told() -> None:
    one = measured()
    scores = one.results[0]["scores"]
    names = [method.name for method in one.part.chosen.tables["comparison"]]
    for number, sittings in enumerate((("a", "a"), ("a", "b"))):
        for name, sitting in zip(names, sittings, strict=False):
            scores[name][SITTING] = sitting
        [cost] = [it for it in chapter(one).tables if it.title.startswith("Table 2")]
        told = f"; measured in another run of the command than {names[0]}: {names[1]}"
        assert cost.about.endswith(told) == bool(number)


def test_what_is_not_sure_is_not_told_apart() -> None:
    one = of_the_paper({"VideoGrain": {"clip_t": 5}, "TokenFlow": {"clip_t": 5.001}}, 8)
    [found] = [it for it in against_paper([one]) if it.heading == "table 1: CLIP-T"]
    assert found.sentences[1:] == (
        "Surely in the paper's order: 0 of 1 pair.",
        "Not told apart: VideoGrain and TokenFlow.",
    )


def test_orders_are_over_the_cases_that_all_rows_have() -> None:
    """DMT has six cases of eight: in the other two VideoGrain is much better."""
    one = of_the_paper({"VideoGrain": {"warp_flow": 5}, "DMT": {"warp_flow": 4}}, 8)
    for result in one.results[6:]:
        result["scores"] = {"VideoGrain": {"warp_flow": -50}}
    [found] = [it for it in against_paper([one]) if it.heading == "table 1: Warp-Err"]
    assert found.sentences[0].startswith("Here, over 6 cases: DMT ")


def test_the_parts_of_the_modulation_are_compared_with_table_3() -> None:
    values = {"VideoGrain": 3.0, "VideoGrain, cross only": 2.0, "VideoGrain, no modulation": 1.0}
    of_rows = {name: {"clip_f": value} for name, value in values.items()}
    found = {it.heading: it for it in against_paper([of_the_paper(of_rows, 8)])}
    agreed = found["table 3: CLIP-F"].sentences[1]
    assert agreed == "Surely in the paper's order: 3 of 3 pairs."


def test_q_edit_is_the_quotient_of_means() -> None:
    """One case with a small error does not decide it."""
    made = measured()
    for number, result in enumerate(made.results):
        warp = {"ours": 0.1 if number == 0 else 4.0, "other": 2.0}
        for name in ("ours", "other"):
            result["scores"][name] |= {"clip_t": 10.0, "warp_flow": warp[name], "q_edit": 99.0}
    one = chapter(made)
    quality = one.tables[0]
    column = [heading for heading, _ in quality.headings].index("Q-edit")
    ours, other = (cells[column].interval for _, _, cells in quality.rows)
    assert ours is not None
    assert other is not None
    assert ours.mean == pytest.approx(10 / ((7 * 4 + 0.1) / 8))
    assert other.mean == 5
    gap = one.against_ours.rows[0][2][column].interval
    assert gap is not None
    assert gap.mean == pytest.approx(ours.mean - 5)


def test_ours_without_poses_and_the_settings_have_differences_of_their_own() -> None:
    made = measured()
    names = ("ours", "ours, unposed", "other", "VideoGrain", "VideoGrain, levels all")
    methods = {name: Method(name, "", control=None) for name in names}
    for result in made.results:
        result["scores"] |= {name: dict(result["scores"]["ours"]) for name in names}
    tables = {
        "comparison": tuple(methods[name] for name in names[:4]),
        "temporal": (),
        "modulation": (),
        "settings": (methods["VideoGrain"], methods["VideoGrain, levels all"]),
    }
    chosen = Chosen(tables, {})  # type: ignore[arg-type]
    told = chapter(replace(made, part=replace(made.part, chosen=chosen)))
    rows = {table.title: [name for name, _, _ in table.rows] for table in told.tables}
    assert rows["ours, unposed less"] == ["other", "VideoGrain"]
    assert rows["VideoGrain less"] == ["VideoGrain, levels all"]


def test_other_sets_of_cases_are_not_mixed() -> None:
    one = of_the_paper({"VideoGrain": {"clip_t": 5}}, 8)
    other = of_the_paper({"DMT": {"clip_t": 4}}, 8)
    other = replace(other, part=replace(other.part, job=replace(other.part.job, cases="clips")))
    assert set(merged([one, other])[0]["scores"]) == {"VideoGrain"}


def test_the_page_shows_everything_and_escapes_it() -> None:
    made = measured()
    told = chapter(made)
    told.departures["dmt"] = ("The paper does <this>; here that, because of it.",)
    text = page([made], [told], against_paper([made]), about="2 steps.")
    for expected in (
        "The paper does &lt;this&gt;",
        "In the paper, the best first: VideoGrain 98.63",
        "Table 1: quality",
        "DMT: no `method dmt`",
        "demo-image/clips/case-3/other.webp",
        "demo-image/maps/case-0/map-0-1.webp",
        "IoU 0.75",
        "b &lt;c&gt;",
        "red &lt;man&gt;",
    ):
        assert expected in text, expected
    assert "<script" not in text


# --- the command ---------------------------------------------------------------------------------


def test_the_command_measures_and_resumes(
    grain: Grain, wan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    few = [m for m in PUBLISHED if m.name in ("TokenFlow", "DFVEdit + our masks")]
    monkeypatch.setattr(choose_module, "PUBLISHED", few)
    monkeypatch.setattr(choose_module, "VIDEO", VIDEO[:1])
    monkeypatch.setattr(choose_module, "OWN_GUIDANCE", ())
    monkeypatch.setattr(choose_module, "modulation", lambda ours, flow_matching: ())
    out = tmp_path / "paper"
    arguments = ("bench", "--paper", "--quick", "--model", wan, "--count", "1", "--steps", "2")
    arguments += ("--clip", "none", "-o", out)
    said = grain(*arguments)
    assert said.code == 0, said.err
    assert said.err.startswith("finding out which methods each model runs")
    assert "estimate: about " in said.err
    skipped = len(("VideoGrain", *SMOOTHED, *WITHOUT_POSES, "TokenFlow"))
    skipped += len((*UNSMOOTHED, *UNBLENDED, *OTHER_THRESHOLD))
    skipped += 8 + len(SETTINGS)  # 8 scopes
    assert f"wan: 1 case × 2 methods, 1 with maps; {skipped} methods not run" in said.err
    for line in ("Table 1: quality", "Table 2: cost of an edit", "Modulation", "Localise and edit"):
        assert line in said.out
    assert "not run: TokenFlow: " in said.out
    assert [row["name"] for row in said_json(out)["tables"][2]["rows"]] == ["ours"]  # modulation
    content = json.loads((out / "paper.json").read_text())
    [model] = content["models"]
    assert model["model"] == "wan"
    names = [row["name"] for row in model["tables"][0]["rows"]]
    assert names[0] == "ours"
    assert names == ["ours", "DFVEdit + our masks"]
    shown = (out / "index.html").read_text()
    for row in names:
        files = list((out / "wan" / "clips").glob(f"*/{methods_file(row)}.webp"))
        assert len(files) == 1
        assert f"wan/clips/{files[0].parent.name}/{files[0].name}" in shown
    assert list((out / "wan" / "maps").glob("*/map-*.webp"))

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("an edit was made again")

    monkeypatch.setattr("grainspec_runtime.bench.edit.edit", forbidden)
    monkeypatch.setattr("grainspec_runtime.bench.paper.run.localised", forbidden)
    again = grain(*arguments)
    assert again.code == 0, again.err
    assert "estimate: about 0 minutes" in again.err
    assert json.loads((out / "paper.json").read_text()) == content
    for name, reason in (
        ("ours", "ours runs in any case: name a method to compare it with"),
        ("Magic", "unknown method `Magic`; choose from ours, DFVEdit + our masks"),
        ("TokenFlow", "no method `TokenFlow` here: wan does not run it: "),
    ):
        refused = grain(*arguments, "--method", name)
        assert refused.code == 2
        assert f"Invalid value for --method: {reason}" in refused.err
    named = grain(*arguments, "--method", "DFVEdit + our masks")
    assert named.code == 0, named.err
    assert "wan: 1 case × 2 methods, 1 with maps\n" in named.err


def test_the_time_that_is_left_follows_from_the_edits_that_are_made(tmp_path: Path) -> None:
    """Two of four are made, in 3 and 5 seconds each; no edit is timed."""
    made = measured(2)
    methods = made.part.job.methods[:2]
    job = replace(made.part.job, folder=tmp_path, methods=methods, apart=0, cases="clips")
    part = replace(made.part, job=job)
    for index, seconds in enumerate((3.0, 5.0)):
        case = job.case(index)
        score = {"key": job.key(case, methods[0]), "total": seconds}
        path = job.folder / "cases" / f"{case.name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"name": case.name, "scores": {methods[0].name: score}}))
    assert estimate([part], workers=1) == pytest.approx(2 * 4.0)


def said_json(out: Path) -> dict[str, Any]:
    [model] = json.loads((out / "paper.json").read_text())["models"]
    found: dict[str, Any] = model
    return found


def methods_file(name: str) -> str:
    from grainspec_runtime.bench.run import file_name

    return file_name(name)

"""The tables of the paper's comparison, its page, and the time that is left."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from grainspec_runtime.bench.clip_cases import make_clip_case
from grainspec_runtime.bench.methods import Method
from grainspec_runtime.bench.paper.against import PUBLISHED_COLUMNS, against_paper, merged
from grainspec_runtime.bench.paper.choose import Chosen
from grainspec_runtime.bench.paper.page import page
from grainspec_runtime.bench.paper.run import Measured, Part, estimate
from grainspec_runtime.bench.paper.tables import chapter
from grainspec_runtime.bench.run import SITTING, Job
from grainspec_runtime.bench.summary import MEASURES, PAPER_MEASURES, Result

CASE = make_clip_case(0, "held-out")


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

"""Runs of the studio: each has a folder of its own, and none replaces an earlier one."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from studio import copied_examples, left_man_spec, listing, opened

from grainspec_runtime.studio.changes import changes
from grainspec_runtime.studio.outputs import output_for, spec_of_run

SPEC = left_man_spec(steps=3)
COMMAND = ["run", "--stdin", "--", "edit.grain"]


def test_a_new_run_stands_beside_the_earlier_ones(tmp_path: Path) -> None:
    with opened(copied_examples(tmp_path), "instance.grain") as page:

        def made(text: str) -> str:
            ended = page.ended(page.post("jobs", 201, kind="run", text=text)["job"])
            assert ended["state"] == "done", ended
            [name] = ended["runs"]
            return str(name)

        assert made(SPEC) == "instance"
        first = listing(page.folder / "runs" / "instance")
        assert made(SPEC.replace("guidance 4", "guidance 6")) == "instance-2"
        assert listing(page.folder / "runs" / "instance") == first
        time.sleep(0.01)
        third = page.folder / "runs" / "instance-3"
        shutil.copytree(page.folder / "runs" / "instance", third)
        (third / "run.json").touch()
        runs = page.get("runs")["runs"]
        assert [run["name"] for run in runs] == ["instance-3", "instance-2", "instance"]
        assert all(run["own"] and run["complete"] for run in runs)
        assert [run["same"] for run in runs] == ["instance", None, None]
        assert runs[1]["changes"] == ["sampler.guidance 4.0 → 6.0"]
        pictures = [page.get(f"runs/{run['name']}/frames/1?of=edited") for run in runs]
        assert pictures[0] == pictures[2] != pictures[1]


def run_at(folder: Path, text: str = SPEC, arguments: list[str] = COMMAND) -> None:
    """A run's folder, as far as its place depends on it."""
    folder.mkdir(parents=True)
    recorded = [*arguments[:-2], f"--output={folder}", *arguments[-2:]]
    (folder / "run.json").write_text(json.dumps({"arguments": recorded}))
    (folder / "spec.grain").write_text(text)


def test_a_run_takes_the_first_folder_that_is_free(tmp_path: Path) -> None:
    spec = tmp_path / "edit.grain"

    def output(*variants: str) -> str:
        return output_for(spec, SPEC, COMMAND, variants)

    assert output() == output("wolf") == "runs/edit"
    run_at(tmp_path / "runs" / "edit" / "wolf")
    assert (output(), output("pig"), output("wolf")) == ("runs/edit", "runs/edit", "runs/edit-2")
    run_at(tmp_path / "runs" / "edit-3")
    run_at(tmp_path / "runs" / "edit-2" / "wolf")
    (tmp_path / "edit-4.grain").write_text(SPEC)  # its runs are in runs/edit-4
    assert output("wolf") == "runs/edit-3"
    run_at(tmp_path / "runs" / "edit-3" / "wolf")
    assert output("wolf") == "runs/edit-5"


@pytest.mark.parametrize(
    ("text", "arguments", "compared", "folder"),
    [
        (SPEC, COMMAND, False, "runs/edit"),
        (SPEC, COMMAND, True, "runs/edit"),
        (SPEC + "# other\n", COMMAND, False, "runs/edit-2"),
        (
            SPEC,
            ["run", "--stdin", "--set=sampler.seed=3", "--", "edit.grain"],
            False,
            "runs/edit-2",
        ),
    ],
)
def test_variants_that_were_interrupted_go_on_in_their_folder(
    tmp_path: Path, text: str, arguments: list[str], compared: bool, folder: str
) -> None:
    runs = tmp_path / "runs" / "edit"
    run_at(runs / "wolf", text, arguments)
    variants = ("wolf", "pig")
    assert output_for(tmp_path / "edit.grain", SPEC, COMMAND, variants) == folder
    run_at(runs / "pig", text, arguments)
    if compared:
        (runs / "variants.png").touch()
    found = output_for(tmp_path / "edit.grain", SPEC, COMMAND, variants)
    assert found == ("runs/edit-2" if compared else folder)


@pytest.mark.parametrize(
    ("name", "arguments", "spec"),
    [
        ("edit", ["run", "edit.grain"], "edit"),
        ("edit-2", COMMAND, "edit"),
        ("edit-2/wolf", COMMAND, "edit"),
        ("edit-2", ["run", "edit-2.grain"], "edit-2"),
        ("edit-2", [*COMMAND[:-1], "edit-2.grain"], "edit-2"),
        ("other", COMMAND, "other"),
        ("edit-2", "no list", "edit-2"),
    ],
)
def test_a_run_is_of_the_spec_that_its_command_names(name: str, arguments: Any, spec: str) -> None:
    assert spec_of_run(name, {"arguments": arguments}) == spec


def test_settings_that_differ_are_told() -> None:
    before: dict[str, Any] = {"sampler": {"steps": 20, "seed": 0}, "edits": [1], "target": "a"}
    now = {"sampler": {"steps": 30, "seed": 0, "eta": None}, "edits": [2], "target": "b"}
    told = changes({"spec": before}, {"spec": now})
    assert told == ["sampler.steps 20 → 30", "edits", "target"]
    many = {str(number): number for number in range(20)}
    assert changes({"spec": {}}, {"spec": many})[-1] == "15 more"
    assert changes({"spec": now}, {"spec": now}) == changes({}, {}) == []

"""Specs for Wan: what is found about them before a model is loaded, and what their plans have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from clips import ClipFolder
from command import Grain
from wan import tiny_wan

from grainspec.model.spec import PROFILES


@pytest.fixture(scope="module")
def wan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_wan(tmp_path_factory.mktemp("wan") / "2.1")


@pytest.fixture(scope="module")
def experts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_wan(tmp_path_factory.mktemp("wan") / "2.2", "2.2")


@pytest.fixture
def clip(tmp_path: Path) -> ClipFolder:
    return ClipFolder(tmp_path, frames=5)


def written(clip: ClipFolder, model: Path, settings: str, source: str = 'source "two men"') -> Path:
    path = clip.root / "edit.grain"
    path.write_text(clip.spec_text(source=source, settings=f'model "{model}"\n{settings}'))
    return path


def findings(grain: Grain, path: Path) -> list[tuple[str, str]]:
    """The codes and messages that `grain check` and `grain plan` agree on."""
    checked = json.loads(grain("check", path, "--format", "json").out)["files"][0]["diagnostics"]
    planned = json.loads(grain("plan", path, "--format", "json").out)
    planned = planned if "diagnostics" in planned else planned["files"][0]  # errors
    found = [(finding["code"], finding["message"]) for finding in checked]
    assert found == [(finding["code"], finding["message"]) for finding in planned["diagnostics"]]
    return found


def test_a_plain_spec_is_fine(grain: Grain, clip: ClipFolder, wan: Path) -> None:
    path = written(clip, wan, "sampler { skip 20%  guidance 10  seed 3 }")
    assert findings(grain, path) == []
    plan = json.loads(grain("plan", path, "--format", "json").out)
    assert plan["process"] == "flow_edit"
    assert plan["schedule"]["steps"] == 40
    assert plan["schedule"]["phrases"] == PROFILES["flow_matching"].phrases
    assert plan["schedule"]["modulated_timesteps"][-1] >= 600


FAMILY = "is not supported by Wan 2.1 or 2.2"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("inject", [("G504", f"`inject` {FAMILY}")]),
        ("attention { norm clip }", [("G504", f"`norm clip` {FAMILY}")]),
        ("attention { frames each }", [("G504", f"`frames each` {FAMILY}")]),
        (
            "inject\nflow",
            [("G504", f"`inject` {FAMILY}"), ("G504", f"`flow` {FAMILY}")],
        ),
        ("sampler { skip 100% }", [("G203", "`skip 100%` leaves no step of 50")]),
        (
            "sampler { guidance 1  steps 8 }",
            [("G118", "`source_guidance 5` is larger than `guidance 1`")],
        ),
        (
            "sampler { process invert_and_sample  skip 20% }",
            [("G111", "`skip` has no effect with `process invert_and_sample`")],
        ),
        (
            "blend { from 25% }",
            [
                (
                    "G111",
                    "`from` has no effect with `process flow_edit`, which restores nothing in "
                    "between",
                )
            ],
        ),
    ],
)
def test_what_wan_cannot_do(
    grain: Grain, clip: ClipFolder, wan: Path, settings: str, expected: list[tuple[str, str]]
) -> None:
    assert findings(grain, written(clip, wan, settings)) == expected


def test_guidance_of_a_second_expert_names_the_checkpoint(
    grain: Grain, clip: ClipFolder, wan: Path
) -> None:
    message = f"`low_noise_guidance` is not supported by {wan}, a checkpoint with one expert"
    assert findings(grain, written(clip, wan, "sampler { low_noise_guidance 6 }")) == [
        ("G504", message)
    ]


def test_the_default_process_needs_a_source_prompt(
    grain: Grain, clip: ClipFolder, wan: Path
) -> None:
    path = written(clip, wan, "", source="")
    assert [code for code, _ in findings(grain, path)] == ["G117"]
    path = written(clip, wan, "sampler { process invert_and_sample }", source="")
    assert findings(grain, path) == []


def test_two_experts_have_two_scales(grain: Grain, clip: ClipFolder, experts: Path) -> None:
    path = written(clip, experts, "sampler { guidance 8  low_noise_guidance 6 }")
    assert findings(grain, path) == []


def test_layers_and_columns_are_in_the_plan(grain: Grain, clip: ClipFolder, wan: Path) -> None:
    path = written(clip, wan, "attention { layers 1  columns 0.2 }")
    assert findings(grain, path) == []
    (missing,) = findings(grain, written(clip, wan, "attention { layers 0..40 }"))
    assert missing[0] == "G404"

"""The command that makes the paper's comparison: it measures, and resumes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command import Grain
from wan import tiny_wan

from grainspec_runtime.bench.paper import choose as choose_module
from grainspec_runtime.bench.paper.ablations import SETTINGS
from grainspec_runtime.bench.paper.methods import (
    OTHER_THRESHOLD,
    PUBLISHED,
    SMOOTHED,
    UNBLENDED,
    UNSMOOTHED,
    VIDEO,
    WITHOUT_POSES,
)


def test_the_command_measures_and_resumes(
    grain: Grain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    few = [m for m in PUBLISHED if m.name in ("TokenFlow", "DFVEdit + our masks")]
    monkeypatch.setattr(choose_module, "PUBLISHED", few)
    monkeypatch.setattr(choose_module, "VIDEO", VIDEO[:1])
    monkeypatch.setattr(choose_module, "OWN_GUIDANCE", ())
    monkeypatch.setattr(choose_module, "modulation", lambda ours, flow_matching: ())
    out = tmp_path / "paper"
    wan = tiny_wan(tmp_path / "wan")
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


def said_json(out: Path) -> dict[str, Any]:
    [model] = json.loads((out / "paper.json").read_text())["models"]
    found: dict[str, Any] = model
    return found


def methods_file(name: str) -> str:
    from grainspec_runtime.bench.run import file_name

    return file_name(name)

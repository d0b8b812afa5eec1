"""The command's frame and `grain check`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from clips import EXAMPLES, ROOT, ClipFolder
from command import Grain

from grainspec.diagnostics import Diagnostic
from grainspec.diagnostics.render import render
from grainspec.diagnostics.span import Span

FIVE_MISTAKES = {
    "settings": "attention { until 0.6 }\nsampler ddim { stepps 30 }",
    "edits": 'edit left -> "green robott"\nedit right -> "yellow bear" { weight 9 }\nkeep rihgt',
}


def test_a_good_spec_is_fine(grain: Grain, clip: ClipFolder) -> None:
    path = clip.root / "good.grain"
    path.write_text(clip.spec_text())
    said = grain("check", path)
    assert (said.code, said.err) == (0, "")
    assert said.out == f"{path}: fine\n"


def test_five_mistakes_are_five_errors(grain: Grain, clip: ClipFolder) -> None:
    path = clip.root / "bad.grain"
    path.write_text(clip.spec_text(**FIVE_MISTAKES))
    said = grain("check", path, "--format", "json")
    assert said.code == 1
    assert said.codes == ["G104", "G203", "G101", "G202", "G201"]
    text = grain("check", path)
    assert (text.code, text.out) == (1, "")
    assert "5 errors" in text.err
    assert 'edit right -> "yellow bear" { weight 9 }' in text.err
    assert "Did you mean `right`?" in text.err
    assert "\x1b" not in text.err  # colours are for terminals


def test_json_tells_the_place(grain: Grain, clip: ClipFolder) -> None:
    path = clip.root / "bad.grain"
    path.write_text("grain 1\nvideo 'clip'\n")
    (file,) = grain("check", path, "--format", "json").json["files"]
    first = file["diagnostics"][0]
    assert (first["line"], first["column"]) == (2, 7)
    assert first["severity"] == "error"


def test_json_documents_are_checked_too(grain: Grain, clip: ClipFolder) -> None:
    from grainspec import parse, to_json

    path = clip.root / "spec.json"
    path.write_text(to_json(parse(clip.spec_text())))
    assert grain("check", path).code == 0
    document = json.loads(path.read_text())
    document["edits"][0]["weight"] = "heavy"
    path.write_text(json.dumps(document))
    said = grain("check", path, "--format", "json")
    assert (said.code, said.codes) == (1, ["G009"])
    assert "/edits/0" in said.out


def test_several_files_are_told_apart(grain: Grain, clip: ClipFolder, tmp_path: Path) -> None:
    good, bad = clip.root / "good.grain", clip.root / "bad.grain"
    good.write_text(clip.spec_text())
    bad.write_text("grain 2")
    said = grain("check", good, bad, tmp_path / "gone.grain", "--format=json")
    assert said.code == 1
    found = [[d["code"] for d in file["diagnostics"]] for file in said.json["files"]]
    assert found[0] == []
    assert "G005" in found[1]
    assert found[2] == ["G311"]


def test_files_need_not_be_looked_at(grain: Grain, tmp_path: Path) -> None:
    path = tmp_path / "spec.grain"
    path.write_text(
        'grain 1 video "gone.mp4" target "a bear" region r = all edit r -> "bear" { weight 2 }'
    )
    assert grain("check", path, "--format=json").codes == ["G301"]
    assert grain("check", "--no-files", path).code == 0


def test_unknown_commands_and_options(grain: Grain) -> None:
    said = grain("chekc")
    assert said.code == 2
    assert "Did you mean `check`?" in said.err
    assert grain("check").code == 2
    assert grain("check", "--colour").code == 2


@pytest.mark.needs_runtime
@pytest.mark.parametrize("command", ["check", "show", "plan", "run", "doctor"])
def test_help_has_examples(grain: Grain, command: str) -> None:
    said = grain(command, "--help")
    assert said.code == 0
    assert f"grain {command}" in said.out.split("Examples:")[1]
    assert command in grain("--help").out


def test_checking_loads_neither_torch_nor_diffusers() -> None:
    source = (
        "import sys\n"
        "from grainspec.cli import main\n"
        "sys.argv = ['grain', 'check', *sys.argv[1:]]\n"
        "try: main()\n"
        "except SystemExit as stopped: assert not stopped.code, stopped.code\n"
        "heavy = {'torch', 'diffusers', 'transformers', 'tokenizers', 'cv2'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    examples = sorted(map(str, EXAMPLES.glob("*.grain")))
    assert len(examples) >= 3
    done = subprocess.run(
        [sys.executable, "-c", source, *examples], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": fine") == len(examples)


def test_running_without_the_runtime_says_how_to_get_it() -> None:
    source = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "sys.modules['transformers'] = None\n"
        "from grainspec.cli import main\n"
        f"sys.argv = ['grain', 'run', {str(EXAMPLES / 'part.grain')!r}, '-o', 'nowhere']\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 1
    assert "G501" in done.stderr
    assert "pip install 'grainspec[runtime]'" in done.stderr


def test_what_a_terminal_cannot_show_stops_nothing(clip: ClipFolder) -> None:
    path = clip.root / "bad.grain"
    path.write_text(clip.spec_text(edits='edit left → "green robot"'), encoding="utf-8")
    command = [sys.executable, "-m", "grainspec", "check", str(path)]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert "U+2192" in done.stderr
    assert "Traceback" not in done.stderr


def test_control_characters_never_reach_the_terminal() -> None:
    finding = Diagnostic("G101", "\x1b[31mred\u202e", "\x07", Span(1, 1, 1, 2))
    shown = render([finding], source="\x1b[2J", path="a\x1b").plain
    assert not set(shown) & set("\x1b\x07\u202e")
    assert r"\x1b[31mred\u202e" in shown


def test_a_fault_in_an_import_is_not_called_a_missing_package(
    grain: Grain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(file: Path, **_: bool) -> None:
        raise ImportError("cannot import name", name="numpy")

    monkeypatch.setattr("grainspec.cli.check.findings_in", broken)
    said = grain("check", "a.grain")
    assert said.code == 70
    assert "G900" in said.err
    assert "ImportError: cannot import name" in said.err
    assert "not installed" not in said.err


def test_a_closed_pipe_is_no_error(clip: ClipFolder) -> None:
    path = clip.root / "good.grain"
    path.write_text(clip.spec_text())
    command = f"{sys.executable} -m grainspec check {path} {path} --format json | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr

"""`grain explain`: every code has an explanation, and its examples are what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from clips import ClipFolder
from command import Grain

from grainspec import GrainError, from_json, parse, parse_all
from grainspec.cli.check import findings_in
from grainspec.diagnostics.codes import ERRORS, WARNINGS
from grainspec.diagnostics.explanations import Explanation, explanations, read_explanations
from grainspec.text.override import override
from grainspec_runtime.prepare import prepare

ALL = explanations()
SPECS = [code for code, found in ALL.items() if found.wrong.kind == "grain"]
OF_TEXT = [code for code in SPECS if code < "G3"]
LATER = {"G417", "G418", "G419", "G421", "G503", "G504", "G511", "G524", "G525"}
"""Found only with a model that is not the demo model, or once a model is fetched or run: their specs
are without fault by themselves."""
OF_CLIPS = [code for code in SPECS if code > "G3" and code not in LATER]


def of_text(text: str) -> list[str]:
    return [finding.code for finding in parse_all(text).diagnostics]


def of_clip(text: str, root: Path) -> set[str]:
    """The codes that a spec has on its clip, with the demo model."""
    parsed = parse_all(text)
    assert parsed.spec is not None, parsed.diagnostics
    try:
        findings = prepare(parsed.spec, root).warnings
    except GrainError as error:
        findings = error.diagnostics
    return {finding.code for finding in findings}


def test_every_code_is_explained_and_no_other() -> None:
    assert list(ALL) == sorted({**ERRORS, **WARNINGS})
    for code, found in ALL.items():
        assert found.family.startswith(f"{code[:2]}.. "), code
        assert found.title in {ERRORS.get(code), WARNINGS.get(code)}
        assert 80 <= len(found.text) <= 900, code
        assert found.wrong.kind == found.right.kind, code
        assert found.wrong != found.right, code


def test_mistakes_of_specs_are_shown_by_specs() -> None:
    assert {code for code in ALL if code < "G3"} - set(OF_TEXT) == {"G006", "G009"}


@pytest.mark.parametrize("code", OF_TEXT)
def test_a_wrong_text_has_its_own_code_and_no_other(code: str) -> None:
    assert of_text(ALL[code].wrong.text) == [code]


@pytest.mark.parametrize("code", SPECS)
def test_a_right_text_has_no_finding(code: str) -> None:
    assert of_text(ALL[code].right.text) == []


@pytest.mark.needs_runtime
@pytest.mark.parametrize("code", OF_CLIPS)
def test_a_wrong_spec_has_its_own_code_on_the_clip(code: str, clip: ClipFolder) -> None:
    assert of_clip(ALL[code].wrong.text, clip.root) == {code}


@pytest.mark.needs_runtime
@pytest.mark.parametrize("code", OF_CLIPS)
def test_a_right_spec_has_no_finding_on_the_clip(code: str, clip: ClipFolder) -> None:
    assert of_clip(ALL[code].right.text, clip.root) == set()


@pytest.mark.parametrize("code", sorted(LATER))
def test_what_models_find_later_is_no_mistake_of_the_text(code: str) -> None:
    assert of_text(ALL[code].wrong.text) == []


def test_the_json_document(clip: ClipFolder) -> None:
    shown = ALL["G009"]
    with pytest.raises(GrainError) as raised:
        from_json(shown.wrong.text)
    assert [finding.code for finding in raised.value.diagnostics] == ["G009"]
    assert "/edits/0/weight" in shown.text
    assert "/edits/0/weight" in str(raised.value)
    assert from_json(shown.right.text).changes[0].weight == 1.5


def test_texts_in_another_encoding_are_refused(tmp_path: Path) -> None:
    text = ALL["G005"].right.text
    path = tmp_path / "edit.grain"
    path.write_bytes(text.encode("utf-16"))
    findings = findings_in(path, files=False).findings
    assert [finding.code for finding in findings] == ["G006"]
    path.write_text(path.read_bytes().decode("utf-16"), encoding="utf-8")
    assert findings_in(path, files=False).findings == []


@pytest.mark.parametrize("code", ["G104", "g104", " G104 "])
def test_a_code_is_explained(grain: Grain, code: str) -> None:
    said = grain("explain", code)
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("error[G104]: an edit's words are not in the target prompt\n\n")
    assert "Wrong (a spec)\n\n    grain 1\n" in said.out
    assert '\n    edit left -> "green robot"\n\nRight (a spec)\n' in said.out
    assert "\x1b" not in said.out  # colours are for terminals
    assert not re.search(r" $", said.out, re.MULTILINE)


def test_warnings_and_other_kinds_of_examples(grain: Grain) -> None:
    assert grain("explain", "G312").out.startswith("warning[G312]: ")
    assert "Wrong (on the command line)\n\n    $ ls\n" in grain("explain", "G311").out
    assert (
        "Right (files on disk)\n\n    models/sd15/\n      model_index"
        in grain("explain", "G502").out
    )


@pytest.mark.parametrize("code", ALL)
def test_examples_can_be_copied(grain: Grain, code: str) -> None:
    """Lines are indented and never broken, however long they are."""
    lines = grain("explain", code).out.splitlines()
    for example in (ALL[code].wrong, ALL[code].right):
        for line in example.text.splitlines():
            assert f"    {line}".rstrip() in lines


def test_a_code_as_json(grain: Grain) -> None:
    said = grain("explain", "g103", "--format", "json")
    assert said.code == 0
    assert said.json == ALL["G103"].as_json()
    assert list(said.json) == ["code", "severity", "title", "text", "wrong", "right"]
    assert (said.json["severity"], said.json["title"]) == ("warning", WARNINGS["G103"])
    assert said.json["wrong"]["kind"] == "grain"


def test_all_codes_are_listed(grain: Grain) -> None:
    said = grain("explain")
    assert said.code == 0
    for code, title in {**ERRORS, **WARNINGS}.items():
        assert f"\n  {code}  {title}{' (warning)' * (code in WARNINGS)}\n" in said.out
    families = re.findall(r"^(G\d)\.\. \w", said.out, re.MULTILINE)
    assert families == sorted({code[:2] for code in ALL})
    listed = grain("explain", "--format=json").json["codes"]
    assert [explanation["code"] for explanation in listed] == list(ALL)


@pytest.mark.parametrize(
    ("code", "near"),
    [
        ("G140", "G104"),
        ("104", "G104"),
        ("G1O4", "G104"),
        ("error[G104]", "G104"),
        ("G999", "G0"),
        ("overlap", "G312"),
        ("\x1b[2J", "G"),
        ("", "`grain explain` lists all"),
    ],
)
def test_unknown_codes(grain: Grain, code: str, near: str) -> None:
    said = grain("explain", code)
    assert (said.code, said.out) == (2, "")
    assert "unknown code" in said.err
    assert near in said.err
    assert "\x1b" not in said.err


def test_the_nearest_code_comes_first(grain: Grain) -> None:
    assert re.findall(r"^  (G\d+)", grain("explain", "G140").err, re.MULTILINE)[0] == "G104"


@pytest.mark.needs_runtime  # the list of commands
def test_help_has_examples(grain: Grain) -> None:
    said = grain("explain", "--help")
    assert said.code == 0
    assert "grain explain G104" in said.out.split("Examples:")[1]
    assert "explain" in grain("--help").out


def test_other_commands_do_not_read_the_explanations(clip: ClipFolder) -> None:
    path = clip.root / "good.grain"
    path.write_text(clip.spec_text())
    source = (
        "import sys\n"
        "from grainspec.cli import main\n"
        f"sys.argv = ['grain', 'check', {str(path)!r}]\n"
        "try: main()\n"
        "except SystemExit as stopped: assert not stopped.code, stopped.code\n"
        "assert 'grainspec.diagnostics.explanations' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


SECTION = (
    "# G1.. Names\n\n## G101\n\nWhy\nit is.\n\nWrong:\n\n```sh\na\n```\n\nRight:\n\n```sh\nb\n```\n"
)


def test_sections_are_read() -> None:
    (explanation,) = read_explanations(f"<!--\n## G9\n-->\n\n{SECTION}").values()
    assert isinstance(explanation, Explanation)
    assert (explanation.family, explanation.text, explanation.right.text) == (
        "G1.. Names",
        "Why it is.",
        "b\n",
    )


def test_items_of_lists_have_lines_of_their_own(grain: Grain) -> None:
    text = "Either:\n\n- one that\n  is long\n- another"
    (explanation,) = read_explanations(SECTION.replace("Why\nit is.", text)).values()
    assert explanation.text == "Either:\n\n- one that is long\n- another"
    shown = grain("explain", "G580").out
    assert "kept.\n- FiVE-Bench: " in shown
    assert "brackets\n  are bound" in shown


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (SECTION + SECTION, "duplicate section G101"),
        (SECTION.replace("Right:", "Left:"), "G101"),
        (SECTION.replace("```sh\nb", "```fish\nb"), "`fish`"),
    ],
)
def test_malformed_sections_are_refused(page: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_explanations(page)


def test_the_settings_of_the_wrong_command_are_of_another_method() -> None:
    """That of G560 sets them on the command line."""
    text = 'grain 1 video "c" target "a bear" region r = all edit r -> "bear"'
    arguments = re.findall(r"--set (\S+)", ALL["G560"].wrong.text)
    assert len(arguments) == 2
    with pytest.raises(GrainError, match="G560"):
        override(parse(text), arguments)
    override(parse(text), re.findall(r"--set (\S+)", ALL["G560"].right.text))

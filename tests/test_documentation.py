"""What the documentation shows is what happens."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
import runpy
import shutil
import sys
from pathlib import Path

import pytest
from clips import EXAMPLES, ROOT
from command import Grain
from PIL import Image

import grainspec
import grainspec.testing
from grainspec import load, parse_all
from grainspec.model.algebra import Find, MaskFiles
from grainspec.model.declaration import settings_of
from grainspec.model.names import RESERVED
from grainspec.model.spec import BLOCKS, PROFILES, Edit, FrameRange

PAGES = ("README.md", "grammar/README.md", "grammar/cookbook.md")


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_specs_on_pages_have_no_mistakes(page: str) -> None:
    found = blocks(page, "grain")
    assert found
    for text in found:
        assert [str(finding) for finding in parse_all(text).diagnostics] == []


def test_the_readme_shows_the_example_as_it_is() -> None:
    assert blocks("README.md", "grain")[0] == (EXAMPLES / "instance.grain").read_text()


def test_the_readme_shows_an_error_as_it_is(
    grain: Grain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shown,) = blocks("README.md", "text")
    text = (
        (EXAMPLES / "instance.grain").read_text().replace('-> "green robot"', '-> "green robott"')
    )
    monkeypatch.chdir(tmp_path)
    Path("edit.grain").write_text(text)
    assert grain("check", "edit.grain").err.startswith(shown)


def test_the_readme_has_both_commands() -> None:
    text = (ROOT / "README.md").read_text()
    for mark in ("run", "test"):
        assert re.search(rf"<!-- quickstart: {mark} -->\n```sh\n", text)


def test_pythons_blocks_run(monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = blocks("README.md", "python")
    names: dict[str, object] = {}
    exec(block.split("result = ")[0], names)  # the run itself is tested elsewhere
    spec = names["spec"]
    assert isinstance(spec, grainspec.EditSpec)
    assert grainspec.check(spec, base=EXAMPLES) == []


def test_links_lead_somewhere() -> None:
    others = {".venv", "node_modules"}
    pages = [page for page in ROOT.rglob("*.md") if not others & set(page.parts)]
    assert len(pages) >= 5
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page}: {target}"


@pytest.mark.parametrize(
    "package", ["grainspec", "grainspec_runtime"], ids=["grainspec", "grainspec_runtime"]
)
def test_examples_in_docstrings(package: str) -> None:
    root = importlib.import_module(package)
    attempted = doctest.testmod(root).attempted
    for found in pkgutil.walk_packages(root.__path__, f"{package}."):
        if not found.name.endswith("__main__"):
            result = doctest.testmod(importlib.import_module(found.name))
            assert result.failed == 0, found.name
            attempted += result.attempted
    assert attempted > 4


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.grain")), ids=lambda path: path.stem)
def test_example_specs_are_fine_and_printed_as_they_read(grain: Grain, path: Path) -> None:
    assert grain("check", path).code == 0
    assert grainspec.parse(grainspec.dumps(load(path))) == load(path)


def test_the_python_example_is_the_text_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = runpy.run_path(str(EXAMPLES / "instance.py"))
    spec = names["two_men_become_a_robot_and_a_bear"]()
    assert spec == load(EXAMPLES / "instance.grain")
    video = spec.video.model_copy(update={"frames": FrameRange(first=0, last=1)})
    sampler = spec.sampler.model_copy(update={"steps": 2})
    short = spec.model_copy(update={"video": video, "sampler": sampler})
    main = names["main"]
    main.__globals__["two_men_become_a_robot_and_a_bear"] = lambda: short
    monkeypatch.chdir(tmp_path)
    main()
    assert grainspec.clip.facts.probe(Path("instance.mp4")).frames == 2
    assert "wrote instance.mp4, 2 frames" in capsys.readouterr().out


def test_the_comparison_writes_its_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("clips", "masks"):
        shutil.copytree(EXAMPLES / part, tmp_path / part)
    text = (EXAMPLES / "part.grain").read_text().replace("steps 30", "steps 2")
    (tmp_path / "part.grain").write_text(text.replace('.mp4"', '.mp4" { frames 0..1 }'))
    still, moving = tmp_path / "c.png", tmp_path / "c.webp"
    arguments = [str(tmp_path / "part.grain"), "-o", str(still), "--moving", str(moving)]
    monkeypatch.setattr(sys, "argv", ["compare.py", *arguments])
    runpy.run_path(str(EXAMPLES / "compare.py"), run_name="__main__")
    assert still.stat().st_size > 5000
    with Image.open(moving) as picture:
        assert (picture.n_frames, picture.info["loop"]) == (2, 0)
        assert picture.width == 3 * 196  # source, without modulation, with it


def test_every_public_name_has_an_example() -> None:
    for name in grainspec.__all__:
        thing = getattr(grainspec, name)
        if callable(thing):
            assert ">>> " in str(thing.__doc__), name
    shown = str(grainspec.Builder.__doc__)
    for kind in (grainspec.Builder, grainspec.Changes):
        for name in dir(kind):
            if not name.startswith("_") and callable(getattr(kind, name)):
                assert f".{name}(" in shown, name
    for name in set(grainspec.testing.__all__) - {
        "INVARIANTS",
        "REGION_PROPERTIES",
        "Case",
        "Compiler",
        "FileResult",
        "Invariant",
        "Scene",
    }:
        assert ">>> " in str(getattr(grainspec.testing, name).__doc__), name


def test_the_reference_has_every_profiles_settings() -> None:
    page = (ROOT / "grammar/README.md").read_text(encoding="utf-8")
    (names, table) = re.findall(
        r"^\| setting \| values \|(.*`videograin`.*)\| meaning \|\n\|[-|]+\|\n((?:\|.*\|\n)+)",
        page,
        re.MULTILINE,
    )[0]
    rows = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.splitlines()]
    columns = [name.strip(" `") for name in names.split("|")]
    assert set(columns) == set(PROFILES)
    for index, name in enumerate(columns, 2):
        said = " ".join(f"{row[0]} {row[index]}" for row in rows).replace("`", "")
        spec = grainspec.parse(
            'grain 1 video "c" target "a bear" region r = all edit r -> "bear"'
            f"attention {{ {said} }}"
        )
        assert spec.modulation == PROFILES[name]


def test_every_statement_and_setting_has_an_example() -> None:
    shown = " ".join(blocks("grammar/README.md", "grain") + blocks("grammar/cookbook.md", "grain"))
    texts = re.sub(r'"[^"]*"', '""', shown)
    models = [Edit, MaskFiles, Find, *(block.model for block in BLOCKS.values())]
    words = {*RESERVED, *(word for model in models for word in settings_of(model))}
    assert {word for word in words if not re.search(rf"\b{word}\b", texts)} == set()

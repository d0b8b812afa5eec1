"""What notebooks show: HTML that stands by itself, whatever is in a spec."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path

import pytest
from clips import EXAMPLES, ROOT
from hypothesis import given
from PIL import Image

import grainspec
from grainspec import ALL, Builder, GrainError, notebook
from grainspec.diagnostics import Diagnostic, fail
from grainspec.model.spec import EditSpec
from grainspec.plan.compile import compile_plan
from grainspec.regions.bind import bind_regions
from grainspec.testing import Case, plans, specs, word_backbone

VOID = {"img", "br"}


class Pieces(HTMLParser):
    """The text of a page and its tags, which must all be closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags, self.sources = "", [], []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [str(value) for name, value in attributes if name in {"src", "href"}]
        assert not [name for name, _ in attributes if name.startswith("on")]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def stands_by_itself(page: str, most: int) -> Pieces:
    pieces = Pieces(page)
    assert not {"script", "style", "link", "iframe"} & set(pieces.tags)
    assert all(re.match(r"data:image/(webp|png);base64,", source) for source in pieces.sources)
    assert len(page) <= most
    return pieces


def drawing(monkeypatch: pytest.MonkeyPatch, draw: Callable[[EditSpec, Path], Image.Image]) -> None:
    class Entry:
        def load(self) -> Callable[[EditSpec, Path], Image.Image]:
            return draw

    monkeypatch.setattr(notebook, "entry_points", lambda **wanted: [Entry()])


# --- specs ---------------------------------------------------------------------------------------


@given(specs())
def test_a_spec_is_its_text(spec: EditSpec) -> None:
    pieces = stands_by_itself(spec._repr_html_(), 400_000)
    shown = pieces.text.partition("The regions are ")[0]
    wanted = grainspec.dumps(spec)
    assert shown.split() == wanted.split() or len(wanted) > notebook.MAX_TEXT


def test_a_spec_is_escaped() -> None:
    spec = (
        Builder("<b>.mp4")
        .target("a <script>alert(1)</script> bear")
        .region("r", ALL)
        .edit("r", "bear")
        .build()
    )
    page = spec._repr_html_()
    assert "<script" not in page
    assert "<b>.mp4" in stands_by_itself(page, 20_000).text


def test_a_long_spec_is_cut() -> None:
    builder = Builder("c").target("a bear").edit("r0", "bear")
    for number in range(3000):
        builder = builder.region(f"r{number}", ALL)
    pieces = stands_by_itself(builder.build()._repr_html_(), 700_000)
    assert "more characters" in pieces.text


def test_the_regions_are_drawn_where_the_clip_is(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[EditSpec, Path]] = []

    def draw(spec: EditSpec, base: Path) -> Image.Image:
        seen.append((spec, base))
        return Image.new("RGB", (2000, 100))

    drawing(monkeypatch, draw)
    spec = grainspec.load(EXAMPLES / "instance.grain")
    page = spec._repr_html_()
    assert seen == [(spec, EXAMPLES)]
    assert stands_by_itself(page, 40_000).sources
    assert spec.without_variants().folder == EXAMPLES
    assert grainspec.override(spec, ["sampler.steps=3"]).folder == EXAMPLES


def test_why_regions_are_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = grainspec.load(EXAMPLES / "instance.grain")
    monkeypatch.setattr(notebook, "entry_points", lambda **wanted: [])
    assert "grainspec[runtime]" in Pieces(spec._repr_html_()).text

    def no(error: Exception) -> Callable[[EditSpec, Path], Image.Image]:
        def draw(spec: EditSpec, base: Path) -> Image.Image:
            raise error

        return draw

    for error, words in {
        fail(
            "G306", "masks of another <size>", "Scale them."
        ): "error[G306] masks of another <size>",
        ImportError("no module named cv2"): "no module named cv2",
        OSError("disk"): "disk",
    }.items():
        drawing(monkeypatch, no(error))
        assert words in Pieces(spec._repr_html_()).text
    for path in ("no.mp4", "n" * 900 + ".mp4"):  # the second is no name that a file can have
        absent = grainspec.parse(f'grain 1 video "{path}" target "a" region r = all edit r -> "a"')
        assert "does not exist" in Pieces(absent._repr_html_()).text
    elsewhere = grainspec.parse((EXAMPLES / "instance.grain").read_text())
    assert "the clip clips/two_men.mp4 does not exist" in Pieces(
        elsewhere._repr_html_()
    ).text.replace("\\", "/")


def test_the_drawing_is_registered() -> None:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    module, _, name = points["grainspec.notebook"]["region_sheet"].partition(":")
    assert callable(getattr(import_module(module), name))


# --- plans ---------------------------------------------------------------------------------------


@given(plans())
def test_a_plan_shows_every_edit_and_level(case: Case) -> None:
    plan = case.plan
    pieces = stands_by_itself(plan._repr_html_(), 400_000)
    assert plan.digest[:12] in pieces.text
    assert len(pieces.sources) == len(plan.levels)
    for edit in plan.edits:
        assert edit.region in pieces.text
    for level in plan.levels:
        assert f"level {level.index}: {level.labels_FHW.shape[2]}×" in pieces.text


def test_a_plan_of_an_example() -> None:
    spec = grainspec.load(EXAMPLES / "instance.grain")
    plan = compile_plan(spec, bind_regions(spec, EXAMPLES).edits, word_backbone()).plan
    text = stands_by_itself(plan._repr_html_(), 40_000).text
    assert "8 frames of" in text
    assert "green robot" in text
    assert "the first 60% of the steps" in text


# --- errors --------------------------------------------------------------------------------------


def test_an_error_is_framed_as_on_the_terminal() -> None:
    text = 'grain 1 video "c" target "a bear" region r = all edit r -> "<cat>"'
    with pytest.raises(GrainError) as raised:
        grainspec.parse(text, path="my.grain")
    pieces = stands_by_itself(raised.value._repr_html_(), 5_000)
    assert "error[G104]" in pieces.text
    assert "--> my.grain:1:" in pieces.text
    assert '"<cat>"' in pieces.text
    assert "^^^^^^^" in pieces.text


def test_an_error_as_text_names_its_file() -> None:
    text = 'grain 1 video "c"\ntarget "a bear" region r = all edit r -> "cat"'
    with pytest.raises(GrainError) as raised:
        grainspec.parse(text, path="my.grain")
    assert re.match(r"my\.grain:2:\d+: G104: .*cat", str(raised.value))
    with pytest.raises(GrainError) as raised:
        grainspec.parse(text)
    assert str(raised.value).startswith("line 2, column ")
    several = GrainError([Diagnostic("G301", "no video"), Diagnostic("G304", "no masks")], path="a")
    assert str(several) == "G301: no video\nG304: no masks"


def test_a_raised_error_shows_its_frame_instead_of_a_traceback() -> None:
    with pytest.raises(GrainError) as raised:
        grainspec.parse('grain 1 video "c" target "a bear"\nregion r = al edit r -> "bear"')
    lines = raised.value._render_traceback_()
    assert all("\n" not in line for line in lines)
    plain = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in lines]
    assert plain[0] == "error[G101]: unknown region `al`"
    assert plain[1:5] == [
        " --> <text>:2:12",
        "  |",
        '2 | region r = al edit r -> "bear"',
        "  |            ^^",
    ]
    assert "Traceback" not in "".join(lines)


def test_a_raised_error_of_python_shows_the_users_line() -> None:
    with pytest.raises(GrainError) as raised:
        Builder("c").sampler(steps=0)
    text = "\n".join(raised.value._render_traceback_())
    assert f"{__file__}:" in text
    assert "Builder(" in text
    hostile = fail("G101", "unknown region `\x1b]0;x\x07`")
    assert "\x1b]" not in "".join(hostile._render_traceback_())

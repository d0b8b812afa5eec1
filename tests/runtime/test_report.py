"""A run's page: all of it there, all of it escaped, playing in a browser that fetches nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import socket
from html.parser import HTMLParser
from pathlib import Path

import pytest
from chromium import chromium, opened
from clips import EXAMPLES
from command import Grain

EVIL = '</script><img src=//evil.example/x onerror="document.title=1">'
VARIANTS = """
variant robot { target "a green robot and a blue man on grass before green trees"
    without right, trees }
variant swapped { target "a yellow bear and a green robot on grass before cherry trees"
    edit instance left -> "yellow bear"  edit instance right -> "green robot" }
"""


class Tags(HTMLParser):
    """Every start tag of a page with its attributes, and the text of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, str] = {}
        self.words = ""
        self._inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style"):
            self.texts[self._inside] = self.texts.get(self._inside, "") + data
        self.words += data

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for found, attributes in self.found if found == tag]


def without_clips(page: Path) -> str:
    """A page's text but for its clips, since x264 may write the same clip in several ways."""
    return re.sub(r"data:video/mp4;base64,[^\"]+", "", page.read_text())


@pytest.fixture(scope="module")
def spec(tiny_sd: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The instance example on a tiny model, with markup wherever a user may write something."""
    folder = tmp_path_factory.mktemp("examples")
    for part in ("clips", "masks"):
        shutil.copytree(EXAMPLES / part, folder / part)
    (folder / "clips" / "two_men.mp4").rename(
        folder / "clips" / "two\"><img src=x onerror='x'>.mp4"
    )
    text = (EXAMPLES / "instance.grain").read_text()
    video = r"two\"><img src=x onerror=" + "'x'>.mp4"
    text = text.replace(
        'two_men.mp4"', f'{video}" {{ frames 0..3  size 64x64 }}\nmodel "{tiny_sd}"'
    )
    text = text.replace("steps 30", "steps 2").replace(
        "before cherry trees", "before cherry trees " + EVIL.replace('"', '\\"')
    )
    path = folder / "evil.grain"
    path.write_text(f"{text}\n# {EVIL}\n")
    return path


@pytest.fixture
def run(grain: Grain, spec: Path, tmp_path: Path) -> Path:
    """A run's folder."""
    said = grain("run", spec, "-o", tmp_path / "run")
    assert said.code == 0, said.err
    return tmp_path / "run"


def test_the_page_has_everything_and_nothing_from_elsewhere(run: Path) -> None:
    page = (run / "report.html").read_text()
    tags = Tags(page)
    assert len(tags.all("video")) == 3
    assert len(tags.all("img")) == 1 + 4  # the sheet of frames; the pairs of four levels
    for _, attributes in tags.found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith(("data:", "#"))
    for words in (
        "green robot",
        "Device",
        "cpu float32",
        "torch",
        "diffusers",
        "levels",
        "8 × 8",
        EVIL,
    ):
        assert words in tags.words, words
    assert "edit instance left" in tags.words
    assert EVIL not in page  # but escaped
    assert page.count("<script") == 1


def test_the_policy_allows_the_pages_own_style_and_script_alone(run: Path) -> None:
    tags = Tags((run / "report.html").read_text())
    (policy,) = (
        attributes["content"] for attributes in tags.all("meta") if "http-equiv" in attributes
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    for kind in ("style", "script"):
        digest = hashlib.sha256(tags.texts[kind].encode()).digest()
        assert rules[f"{kind}-src"] == f"'sha256-{base64.b64encode(digest).decode()}'"
    assert rules["default-src"] == "'none'"
    assert {rules["img-src"], rules["media-src"]} == {"data:"}


def test_measures_come_into_the_page_when_it_is_written_anew(grain: Grain, run: Path) -> None:
    before = (run / "report.html").read_bytes()
    assert grain("measure", run, "--clip", "none").code == 0
    assert (run / "report.html").read_bytes() == before
    said = grain("report", run)
    assert (said.code, said.out) == (0, f"wrote {run / 'report.html'}\n")
    tags = Tags((run / "report.html").read_text())
    assert "PSNR outside" in tags.words
    assert "skipped by `--clip none`" in tags.words
    other = run.parent / "other.html"
    found = grain("report", run, "-o", other, "--format", "json").json
    assert found == {"output": str(other), "runs": [str(run)]}
    assert without_clips(other) == without_clips(run / "report.html")


def test_a_run_that_is_written_anew_has_no_measures_of_the_old(
    grain: Grain, run: Path, spec: Path
) -> None:
    assert grain("measure", run, "--clip", "none").code == 0
    assert (run / "measures.json").exists()
    assert grain("run", spec, "-o", run).code == 0
    assert not (run / "measures.json").exists()
    assert "PSNR" not in Tags((run / "report.html").read_text()).words


def test_variants_are_on_one_page(
    grain: Grain, spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = spec.with_name("both.grain")
    both.write_text(spec.read_text() + VARIANTS)
    assert grain("run", both, "--variant", "all", "-o", tmp_path / "runs").code == 0
    page = tmp_path / "runs" / "variants.html"
    tags, before = Tags(page.read_text()), without_clips(page)
    assert [one["href"] for one in tags.all("a")] == ["#run-1", "#run-2"]
    assert len(tags.all("video")) == 6
    assert tags.words.index("green robot and a blue man") < tags.words.index("yellow bear and a")
    assert len(Tags((tmp_path / "runs" / "robot" / "report.html").read_text()).all("video")) == 3
    page.unlink()
    assert grain("report", tmp_path / "runs").code == 0
    assert without_clips(page) == before


def test_runs_that_no_page_can_be_made_of(grain: Grain, run: Path, tmp_path: Path) -> None:
    for place, code in ((tmp_path / "nowhere", "G317"), (run, "G317")):
        (run / "measures.json").write_text("[]")
        said = grain("report", place, "--format", "json")
        assert (said.code, said.codes) == (1, [code])
    (run / "measures.json").unlink()
    said = grain("report", run, "-o", tmp_path, "--format", "json")
    assert (said.code, said.codes) == (1, ["G310"])
    manifest = json.loads((run / "run.json").read_text())
    base = manifest["base"]
    manifest["base"] = str(tmp_path / "moved")
    (run / "run.json").write_text(json.dumps(manifest))
    said = grain("report", run, "--format", "json")
    assert (said.code, said.codes) == (1, ["G301"])
    manifest["base"] = base
    manifest["warnings"] = manifest["versions"] = manifest["seconds"] = 3  # nonsense is left out
    manifest["timesteps"] = ["x"]
    (run / "run.json").write_text(json.dumps(manifest))
    assert grain("report", run).code == 0
    page = (run / "report.html").read_text()
    assert "Versions</h3>" not in page
    assert "Level 0" not in page
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.skipif(chromium() is None, reason="no Chromium is installed")
def test_a_browser_plays_the_clips_and_fetches_nothing(run: Path, tmp_path: Path) -> None:
    page_file = run / "report.html"
    with opened(tmp_path / "profile") as page, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        page.open(page_file)
        clips = page.run("""Promise.all([...document.querySelectorAll("video")].map(async (clip) => {
            let furthest = 0;
            for (let tries = 0; tries < 400 && furthest < 0.2; tries++) {
                await new Promise((done) => setTimeout(done, 50));
                furthest = Math.max(furthest, clip.currentTime);
            }
            return { ready: clip.readyState, seconds: clip.duration, furthest,
                     wide: clip.videoWidth, error: clip.error && clip.error.message };
        }))""")
        assert len(clips) == 3
        for clip in clips:
            assert clip["error"] is None
            assert clip["ready"] >= 2
            assert clip["seconds"] == pytest.approx(4 / 8, abs=0.01)
            assert clip["furthest"] >= 0.2, "it does not play"
            assert clip["wide"] >= 288
        assert page.run(
            "[...document.images].every((one) => one.complete && one.naturalWidth > 99)"
        )
        assert page.run("document.title") == run.name  # no script of the user's ran
        assert page.run("getComputedStyle(document.querySelector('.swatch')).backgroundColor") == (
            "rgb(230, 60, 60)"
        )
        # stopping one stops all
        page.run("document.querySelectorAll('video')[1].pause()")
        page.run("new Promise((done) => setTimeout(done, 200))")
        assert page.run("[...document.querySelectorAll('video')].every((clip) => clip.paused)")
        for width in (360, 1200):
            page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            page.picture(width, 900, dark=width == 360)
            assert page.run("document.documentElement.scrollWidth - innerWidth") <= 0
        assert page.of("Log.entryAdded") == page.of("Runtime.exceptionThrown") == []
        # and whatever a page might try is refused
        place = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        assert page.run(f"fetch('{place}').then(() => 'fetched', () => 'refused')") == "refused"
        page.run(f"""new Promise((done) => {{
            const image = new Image(); image.onerror = image.onload = done; image.src = "{place}";
            document.body.append(image);
            const script = document.createElement("script");
            script.textContent = "document.title = 'run'"; document.body.append(script); }})""")
        assert page.run("document.title") == run.name
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()
        asked = [event["request"]["url"] for event in page.of("Network.requestWillBeSent")]
    asked = [url for url in asked if not url.startswith("data:") and url != place]
    assert asked == [page_file.resolve().as_uri()]


def test_numbers_in_a_row_are_said_short() -> None:
    from grainspec_runtime.report.contents import _text

    assert _text([0, 2, 4, 6, 8]) == "0 to 8 by 2"
    assert _text([0, 1, 5, 6, 8]) == "0 1 5 6 8"
    assert _text(["run", "x.grain"]) == "run x.grain"
    assert not re.search("None", _text(None))

"""The studio's page: current with its source, and driven in Chromium against the real server."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "runtime" / "studio"
PAGE = ROOT / "runtime" / "grainspec_runtime" / "studio" / "page"
SOURCES = ["index.html", "package-lock.json", "package.json", "tsconfig.json", "vite.config.ts"]
"""What the page is made of besides `src`, as in `vite.config.ts`."""
CHROMIUM = next(
    (path for name in ("chromium-headless-shell", "chromium") if (path := shutil.which(name))), None
)

SPEC = """grain 1

video "clips/two_men.mp4"

source "a red man and a blue man on grass before green trees"
target "a green robot and a yellow bear on grass before cherry trees"

region trees = rest
region sign  = box(40%, 10%, 60%, 20%) @ 0, box(45%, 10%, 65%, 20%) @ 6

edit trees -> "cherry trees"
keep sign

sampler ddim { steps 2 guidance 4 }
"""


def test_the_built_page_is_that_of_the_source() -> None:
    inside = (path for path in (SOURCE / "src").rglob("*") if path.is_file())
    names = sorted([*SOURCES, *(path.relative_to(SOURCE).as_posix() for path in inside)])
    found = hashlib.sha256()
    for name in names:
        found.update(f"{name}\0".encode() + (SOURCE / name).read_bytes() + b"\0")
    built = (PAGE / "source.txt").read_text().strip()
    assert found.hexdigest() == built, "run `npm ci && npm run build` in runtime/studio"


def test_the_page_loads_nothing_from_elsewhere() -> None:
    index = (PAGE / "index.html").read_text()
    assert re.findall(r'(?:src|href)="([^"]+)"', index) == ["data:,", "./studio.js", "./studio.css"]
    assert "{{nonce}}" in index
    style = (PAGE / "studio.css").read_text()
    assert "url(" not in style
    assert "@import" not in style
    code = (PAGE / "studio.js").read_text()
    assert "sourceMappingURL" not in code
    assert not re.search(r"(?:fetch|import|WebSocket)\(['\"`]\w*:?//", code)
    assert sum(path.stat().st_size for path in PAGE.iterdir()) < 900_000


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a studio on a copy of an example, with its token."""
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    folder = tmp_path_factory.mktemp("studio")
    (folder / "clips").mkdir()
    shutil.copy(ROOT / "examples" / "clips" / "two_men.mp4", folder / "clips")
    spec = folder / "mine.grain"
    spec.write_text(SPEC)
    code = "from grainspec_runtime.commands.studio import studio; studio()"
    command = [sys.executable, "-c", code, str(spec), "--port", "0", "--no-browser"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            found = next(
                (m for line in lines if (m := re.search(r"http://\S+token=\S+", line))), None
            )
            assert found, "the studio did not start"
            yield found.group()
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def page(address: str) -> Iterator[Any]:
    """The studio in Chromium; what the browser complains about fails the test at the end."""
    api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        made = browser.new_context(
            viewport={"width": 1280, "height": 800}, color_scheme="dark"
        ).new_page()
        complaints: list[str] = []
        made.on("pageerror", lambda error: complaints.append(str(error)))
        made.on("console", lambda said: complaints.append(said.text) if _is_policy(said) else None)
        made.set_default_timeout(20_000)
        made.goto(address)
        made.locator(".chip .share:not(:empty)").nth(1).wait_for()
        yield made
        browser.close()
        assert not complaints


def _is_policy(said: Any) -> bool:
    return said.type == "error" and "Content Security Policy" in said.text


def _text(page: Any) -> str:
    lines = page.eval_on_selector_all(
        ".cm-line",
        "all => all.map(line => [...line.childNodes]"
        ".filter(n => !n.classList?.contains('cm-hint')).map(n => n.textContent).join(''))",
    )
    return "\n".join(lines)


def _place(page: Any, x: float, y: float) -> tuple[float, float]:
    """Where a fraction of the square frame is on the page."""
    box = page.locator("canvas.picture").bounding_box()
    side = min(box["width"], box["height"]) - 24
    left = box["x"] + (box["width"] - side) / 2
    return left + x * side, box["y"] + (box["height"] - side) / 2 + y * side


def _wait_for(page: Any, words: str) -> None:
    """Wait for words in the text; the page forbids scripts that would wait there."""
    until = time.monotonic() + 20
    while words not in _text(page):
        assert time.monotonic() < until, f"{words!r} is not in\n{_text(page)}"
        page.wait_for_timeout(50)


def _select(page: Any, words: str) -> None:
    """Select words of the text with the mouse."""
    left, right, middle = page.evaluate(
        """words => {
            const all = document.createTreeWalker(
                document.querySelector('.cm-content'), NodeFilter.SHOW_TEXT);
            for (let node = all.nextNode(); node; node = all.nextNode()) {
                const at = node.data.indexOf(words);
                if (at < 0) continue;
                const range = document.createRange();
                range.setStart(node, at);
                range.setEnd(node, at + words.length);
                const box = range.getBoundingClientRect();
                return [box.left, box.right, box.top + box.height / 2];
            }
        }""",
        words,
    )
    page.mouse.move(left + 1, middle)
    page.mouse.down()
    page.mouse.move(right - 1, middle, steps=5)
    page.mouse.up()


def test_dragging_a_keyframe_writes_it_and_is_fast(page: Any) -> None:
    page.keyboard.press("v")
    page.wait_for_timeout(300)
    start = 0.5, 0.15
    page.mouse.click(*_place(page, *start))
    page.evaluate(
        """() => {
            const times = (window.frameTimes = []);
            let last = performance.now();
            const frame = now => { times.push(now - last); last = now;
                                   window.frameLoop = requestAnimationFrame(frame); };
            window.frameLoop = requestAnimationFrame(frame);
        }"""
    )
    page.mouse.move(*_place(page, *start))
    page.mouse.down()
    for step in range(60):
        page.mouse.move(*_place(page, start[0] + 0.003 * (step + 1), start[1] + 0.005 * (step + 1)))
    page.mouse.up()
    times = page.evaluate("cancelAnimationFrame(window.frameLoop), window.frameTimes")
    _wait_for(page, "box(58%, 40%, 78%, 50%) @ 0, box(45%, 10%, 65%, 20%) @ 6")
    average = sum(times) / len(times)
    print(
        f"{len(times)} frames while dragging, {average:.1f} ms on average, {max(times):.0f} at most"
    )
    assert average < 100, "dragging is slow: 33 ms is 30 frames a second"
    page.keyboard.press("Control+z")
    _wait_for(page, "box(40%, 10%, 60%, 20%) @ 0, box(45%, 10%, 65%, 20%) @ 6")
    page.keyboard.press("?")
    page.locator("dialog.help").wait_for()
    page.keyboard.press("Escape")
    page.locator("dialog.help").wait_for(state="detached")


def test_clicks_tracking_words_and_a_run(page: Any, tmp_path: Path) -> None:
    page.keyboard.press("p")
    for x, y, name in ((0.28, 0.6, "region_1"), (0.72, 0.62, "region_2")):
        page.keyboard.press("n")
        page.mouse.click(*_place(page, x, y))
        _wait_for(page, f"{name} = track(point({x:.0%}, {y:.0%}) @ 0)")
    findings = page.locator("#panel-findings", has_text="G357")
    findings.wait_for(state="attached")
    page.keyboard.press("Control+Shift+Enter")
    page.locator(".job.done", has_text="Track").wait_for(timeout=120_000)
    findings.wait_for(state="detached")

    _select(page, "green robot")
    page.locator(".bind-bar button", has_text="region_1").click()
    _wait_for(page, 'edit region_1 -> "green robot"')
    _select(page, "yellow bear")
    page.keyboard.press("Alt+4")
    _wait_for(page, 'edit region_2 -> "yellow bear"')

    page.keyboard.press("Control+Enter")
    page.locator(".job.running, .job.done", has_text="Run").wait_for()
    page.locator(".job.done", has_text="Run").wait_for(timeout=120_000)
    page.locator(".segments button[aria-pressed=true]", has_text="Slider").wait_for()
    page.locator(".save", has_text="Saved").wait_for()
    assert 'edit region_2 -> "yellow bear"' in _text(page)
    before = page.screenshot(path=tmp_path / "slider.png")
    page.locator("canvas.picture").focus()
    for _ in range(8):
        page.keyboard.press("Shift+ArrowLeft")
    page.wait_for_timeout(200)
    assert page.screenshot(path=tmp_path / "moved.png") != before
    for key, name in (("s", "Side by side"), ("d", "Difference"), ("c", "Clip")):
        page.keyboard.press(key)
        page.locator(".segments button[aria-pressed=true]", has_text=name).wait_for()


def _spec(page: Any, method: str = "GET", path: str = "spec", /, **body: str) -> Any:
    """What the server answers a page about its spec."""
    return page.evaluate(
        """async ([method, path, body]) => {
            const more = method === "GET" ? {} : {
                headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
            return (await fetch(`api/${path}`, { method, ...more })).json();
        }""",
        [method, path, body],
    )


def test_a_clip_opened_in_another_tab_takes_no_text(page: Any) -> None:
    page.locator(".cm-line").first.click()
    page.keyboard.press("End")
    page.keyboard.type("# not saved")
    other = page.context.new_page()
    other.goto(page.url)
    other.locator(".path", has_text="mine.grain").wait_for()
    made = _spec(other, "POST", "new", clip="clips/two_men.mp4")
    other.locator(".path", has_text="two_men.grain").wait_for()

    said = page.locator(".notice", has_text="The studio has two_men.grain open now")
    said.wait_for()
    page.keyboard.press("Control+s")
    page.wait_for_timeout(300)
    assert "# not saved" in _text(page)
    assert page.locator(".path").text_content() == "mine.grain"
    assert _spec(page) == {name: made[name] for name in ("path", "text", "version", "root")}

    said.locator("button", has_text="Go on with mine.grain").click()
    other.locator(".path", has_text="mine.grain").wait_for()
    page.keyboard.press("Control+s")
    page.locator(".save", has_text="Saved").wait_for()
    saved = _spec(page)
    assert saved["path"] == "mine.grain"
    assert "# not saved" in saved["text"]
    _wait_for(other, "# not saved")
    assert _spec(other, "POST", "open", path="two_men.grain")["text"] == made["text"]
    page.locator(".path", has_text="two_men.grain").wait_for()
    assert "# not saved" not in _text(page)
    other.close()

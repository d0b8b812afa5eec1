"""The studio's page: current with its source, and driven in Chromium against the real server."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from studio_page import place, select, studio_page, text_of, wait_for

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "runtime" / "studio"
PAGE = ROOT / "runtime" / "grainspec_runtime" / "studio" / "page"
SOURCES = ["index.html", "package-lock.json", "package.json", "tsconfig.json", "vite.config.ts"]
"""What the page is made of besides `src`, as in `vite.config.ts`."""

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
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The studio in Chromium, on a copy of an example."""
    with studio_page(tmp_path_factory.mktemp("studio"), SPEC) as page:
        yield page


WORK = frozenset({"ScriptDuration", "RecalcStyleDuration", "LayoutDuration"})


def work_per_frame(page: Any, move: Callable[[int], None], moves: int) -> float:
    """Milliseconds of the page's own work for each of some moves, a frame each.

    That is its scripts, styles and layout, in the time of its thread: other programs, the server's
    answers and the test's own questions do not count. Chromium hands over the pointer's moves once
    a frame, and the next one is sent when that is done.
    """
    protocol = page.context.new_cdp_session(page)
    protocol.send("Performance.setTimeDomain", {"timeDomain": "threadTicks"})
    protocol.send("Performance.enable")

    def worked() -> float:
        metrics = protocol.send("Performance.getMetrics")["metrics"]
        return sum(float(one["value"]) for one in metrics if one["name"] in WORK)

    before = worked()
    for number in range(moves):
        move(number)
    milliseconds = 1000 * (worked() - before) / moves
    protocol.detach()
    return milliseconds


def test_dragging_a_keyframe_for_60_frames_stays_above_30_a_second(page: Any) -> None:
    page.keyboard.press("v")
    start = 0.5, 0.15
    page.mouse.click(*place(page, *start))
    page.mouse.move(*place(page, *start))
    page.mouse.down()

    def move(number: int) -> None:
        by = number + 1
        page.mouse.move(*place(page, start[0] + 0.003 * by, start[1] + 0.005 * by))

    milliseconds = work_per_frame(page, move, 60)
    print(f"{milliseconds:.1f} ms of work for each of 60 frames")
    busy = """milliseconds => window.addEventListener("pointermove", window.busy = () => {
        const end = performance.now() + milliseconds;
        while (performance.now() < end);
    })"""
    page.evaluate(busy, 80)
    slow = work_per_frame(page, move, 10)
    page.evaluate("window.removeEventListener('pointermove', window.busy)")
    page.mouse.move(*place(page, *start))
    page.mouse.up()
    assert milliseconds < 1000 / 30
    assert slow > 1000 / 30, "the measure does not see work of the page"
    wait_for(page, "box(40%, 10%, 60%, 20%) @ 0, box(45%, 10%, 65%, 20%) @ 6")


def test_dragging_a_keyframe_writes_it_and_is_fast(page: Any) -> None:
    page.keyboard.press("v")
    page.wait_for_timeout(300)
    start = 0.5, 0.15
    page.mouse.click(*place(page, *start))
    page.evaluate(
        """() => {
            const times = (window.frameTimes = []);
            let last = performance.now();
            const frame = now => { times.push(now - last); last = now;
                                   window.frameLoop = requestAnimationFrame(frame); };
            window.frameLoop = requestAnimationFrame(frame);
        }"""
    )
    page.mouse.move(*place(page, *start))
    page.mouse.down()
    for step in range(60):
        page.mouse.move(*place(page, start[0] + 0.003 * (step + 1), start[1] + 0.005 * (step + 1)))
    page.mouse.up()
    times = page.evaluate("cancelAnimationFrame(window.frameLoop), window.frameTimes")
    wait_for(page, "box(58%, 40%, 78%, 50%) @ 0, box(45%, 10%, 65%, 20%) @ 6")
    average = sum(times) / len(times)
    print(
        f"{len(times)} frames while dragging, {average:.1f} ms on average, {max(times):.0f} at most"
    )
    assert average < 100, "dragging is slow: 33 ms is 30 frames a second"
    page.keyboard.press("Control+z")
    wait_for(page, "box(40%, 10%, 60%, 20%) @ 0, box(45%, 10%, 65%, 20%) @ 6")
    page.keyboard.press("?")
    page.locator("dialog.help").wait_for()
    page.keyboard.press("Escape")
    page.locator("dialog.help").wait_for(state="detached")


def test_clicks_tracking_words_and_a_run(page: Any, tmp_path: Path) -> None:
    page.keyboard.press("p")
    for x, y, name in ((0.28, 0.6, "region_1"), (0.72, 0.62, "region_2")):
        page.keyboard.press("n")
        page.mouse.click(*place(page, x, y))
        wait_for(page, f"{name} = track(point({x:.0%}, {y:.0%}) @ 0)")
    findings = page.locator("#panel-findings", has_text="G357")
    findings.wait_for(state="attached")
    page.keyboard.press("Control+Shift+Enter")
    page.locator(".job.done", has_text="Track").wait_for(timeout=120_000)
    findings.wait_for(state="detached")

    select(page, "green robot")
    page.locator(".bind-bar button", has_text="region_1").click()
    wait_for(page, 'edit region_1 -> "green robot"')
    select(page, "yellow bear")
    page.keyboard.press("Alt+4")
    wait_for(page, 'edit region_2 -> "yellow bear"')

    page.keyboard.press("Control+Enter")
    page.locator(".job.running, .job.done", has_text="Run").wait_for()
    page.locator(".job.done", has_text="Run").wait_for(timeout=120_000)
    page.locator(".segments button[aria-pressed=true]", has_text="Slider").wait_for()
    page.locator(".save", has_text="Saved").wait_for()
    assert 'edit region_2 -> "yellow bear"' in text_of(page)
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
    assert "# not saved" in text_of(page)
    assert page.locator(".path").text_content() == "mine.grain"
    assert _spec(page) == {name: made[name] for name in ("path", "text", "version", "root")}

    said.locator("button", has_text="Go on with mine.grain").click()
    other.locator(".path", has_text="mine.grain").wait_for()
    page.keyboard.press("Control+s")
    page.locator(".save", has_text="Saved").wait_for()
    saved = _spec(page)
    assert saved["path"] == "mine.grain"
    assert "# not saved" in saved["text"]
    wait_for(other, "# not saved")
    assert _spec(other, "POST", "open", path="two_men.grain")["text"] == made["text"]
    page.locator(".path", has_text="two_men.grain").wait_for()
    assert "# not saved" not in text_of(page)
    other.close()

    page.locator("button", has_text="Open …").click()
    page.locator("dialog button", has_text="mine.grain").click()
    page.locator(".path", has_text="mine.grain").wait_for()
    wait_for(page, "# not saved")

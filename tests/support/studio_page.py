"""The studio's page in Chromium, driven as a person does: with the mouse and the keyboard."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from chromium import chromium

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE = 60
"""Seconds to wait for what takes less than one: the machine may be busy."""
LONG = 240
"""Seconds to wait for a job."""
_COMMAND = "from grainspec_runtime.commands.studio import studio; studio()"


@contextmanager
def studio_on(start: Path, installed: Path | None = None) -> Iterator[str]:
    """`grain studio` on a spec, a clip or in a folder; its address, of a free port, with the token.

    ``installed`` is a command `grain` that is used in place of this interpreter's grainspec.
    """
    named = [] if start.is_dir() else [str(start.resolve())]
    folder = start if start.is_dir() else start.parent
    program = [str(installed), "studio"] if installed else [sys.executable, "-c", _COMMAND]
    command = [*program, *named, "--port", "0", "--no-browser"]
    paths = {} if installed else {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env={**{k: v for k, v in os.environ.items() if k != "PYTHONPATH"}, **paths},
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
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def page_at(address: str, scheme: str = "dark") -> Iterator[Any]:
    """The page in a browser of its own; what the browser complains about fails at the end."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            page = browser.new_context(
                viewport={"width": 1280, "height": 800}, color_scheme=scheme
            ).new_page()
            complaints: list[str] = []
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on(
                "console", lambda said: complaints.append(said.text) if _is_policy(said) else None
            )
            page.set_default_timeout(PATIENCE * 1000)
            page.goto(address)
            page.locator(".brand").wait_for()
            yield page
        finally:
            browser.close()
        assert not complaints, complaints


@contextmanager
def studio_page(folder: Path, spec: str) -> Iterator[Any]:
    """The studio on `mine.grain` in a folder with two men; skips where something is missing."""
    for package in ("starlette", "uvicorn", "websockets", "playwright.sync_api"):
        pytest.importorskip(package)
    if chromium() is None:
        pytest.skip("no Chromium is installed (apt-get install chromium-headless-shell)")
    (folder / "clips").mkdir()
    shutil.copy(EXAMPLES / "clips" / "two_men.mp4", folder / "clips")
    shutil.copytree(EXAMPLES / "masks" / "two_men", folder / "masks" / "two_men")
    path = folder / "mine.grain"
    path.write_text(spec)
    with studio_on(path) as address, page_at(address) as page:
        wait_for_masks(page, 2)
        yield page


def _is_policy(said: Any) -> bool:
    return said.type == "error" and "Content Security Policy" in said.text


def text_of(page: Any) -> str:
    """The spec's text, without the hints between its words."""
    lines = page.eval_on_selector_all(
        ".cm-line",
        "all => all.map(line => [...line.childNodes]"
        ".filter(n => !n.classList?.contains('cm-hint')).map(n => n.textContent).join(''))",
    )
    return "\n".join(lines)


def place(page: Any, x: float, y: float, aspect: float = 1) -> tuple[float, float]:
    """Where a fraction of the frame, whose width over height is ``aspect``, is on the page."""
    box = page.locator("canvas.picture").bounding_box()
    width = min(box["width"] - 24, (box["height"] - 24) * aspect)
    height = width / aspect
    left, top = box["x"] + (box["width"] - width) / 2, box["y"] + (box["height"] - height) / 2
    return left + x * width, top + y * height


def wait_for(page: Any, words: str) -> None:
    """Wait for words in the text; the page forbids scripts that would wait there."""
    until = time.monotonic() + PATIENCE
    while words not in text_of(page):
        assert time.monotonic() < until, f"{words!r} is not in\n{text_of(page)}"
        page.wait_for_timeout(50)


def wait_for_masks(page: Any, count: int) -> None:
    """Wait until so many regions are bound to pixels, whose share of the frame is shown."""
    page.locator(".chip .share:not(:empty)").nth(count - 1).wait_for()


def select(page: Any, words: str) -> None:
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


def point_at(page: Any, x: float, y: float, name: str) -> None:
    """Click on a thing of the frame, which becomes a new region."""
    page.keyboard.press("n")
    page.mouse.click(*place(page, x, y))
    wait_for(page, f"{name} = track(point({x:.0%}, {y:.0%}) @ 0)")


def track(page: Any) -> None:
    """Track all regions, to the end."""
    page.keyboard.press("Control+Shift+Enter")
    page.locator(".job.done", has_text="Track").wait_for(timeout=LONG * 1000)


def view(page: Any, key: str, name: str) -> None:
    """Choose a view by its key."""
    page.keyboard.press(key)
    page.locator(".segments button[aria-pressed=true]", has_text=name).wait_for()

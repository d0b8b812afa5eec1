"""The studio's page in Chromium, against the real server: how tests drive it."""

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

EXAMPLES = Path(__file__).parents[2] / "examples"
CHROMIUM = next(
    (path for name in ("chromium-headless-shell", "chromium") if (path := shutil.which(name))), None
)


@contextmanager
def served(folder: Path, spec: str) -> Iterator[str]:
    """The address of a studio on `mine.grain` in a folder with two men, with its token."""
    pytest.importorskip("starlette")
    pytest.importorskip("uvicorn")
    (folder / "clips").mkdir()
    shutil.copy(EXAMPLES / "clips" / "two_men.mp4", folder / "clips")
    shutil.copytree(EXAMPLES / "masks" / "two_men", folder / "masks" / "two_men")
    path = folder / "mine.grain"
    path.write_text(spec)
    code = "from grainspec_runtime.commands.studio import studio; studio()"
    command = [sys.executable, "-c", code, str(path), "--port", "0", "--no-browser"]
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


@contextmanager
def studio_page(folder: Path, spec: str) -> Iterator[Any]:
    """The studio in Chromium; what the browser complains about fails the test at the end."""
    api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with served(folder, spec) as address, api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        made = browser.new_context(
            viewport={"width": 1280, "height": 800}, color_scheme="dark"
        ).new_page()
        complaints: list[str] = []
        made.on("pageerror", lambda error: complaints.append(str(error)))
        made.on("console", lambda said: complaints.append(said.text) if is_policy(said) else None)
        made.set_default_timeout(20_000)
        made.goto(address)
        made.locator(".chip .share:not(:empty)").nth(1).wait_for()
        yield made
        browser.close()
        assert not complaints


def is_policy(said: Any) -> bool:
    return said.type == "error" and "Content Security Policy" in said.text


def text_of(page: Any) -> str:
    lines = page.eval_on_selector_all(
        ".cm-line",
        "all => all.map(line => [...line.childNodes]"
        ".filter(n => !n.classList?.contains('cm-hint')).map(n => n.textContent).join(''))",
    )
    return "\n".join(lines)


def place(page: Any, x: float, y: float) -> tuple[float, float]:
    """Where a fraction of the square frame is on the page."""
    box = page.locator("canvas.picture").bounding_box()
    side = min(box["width"], box["height"]) - 24
    left = box["x"] + (box["width"] - side) / 2
    return left + x * side, box["y"] + (box["height"] - side) / 2 + y * side


def wait_for(page: Any, words: str) -> None:
    """Wait for words in the text; the page forbids scripts that would wait there."""
    until = time.monotonic() + 20
    while words not in text_of(page):
        assert time.monotonic() < until, f"{words!r} is not in\n{text_of(page)}"
        page.wait_for_timeout(50)


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

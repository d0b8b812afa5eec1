"""What the studio's page says to do next, and what it tells of a run that warns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from studio_page import LONG, page_at, studio_on, text_of, track, wait_for

from grainspec.analysis.new_spec import new_spec
from grainspec_runtime.media.encode import encode_lossless

ROOT = Path(__file__).parents[2]
STEPS = ROOT / "runtime" / "studio" / "src" / "next_step.ts"
VIDEO = ROOT / "examples" / "clips" / "two_men.mp4"


def test_the_prompts_of_the_first_spec_are_known_to_be_nobodys() -> None:
    lines = new_spec(VIDEO, Path("a.grain")).splitlines()
    prompts = [line.split('"')[1] for line in lines if line.startswith(("source", "target"))]
    assert len(prompts) == 2
    assert all(f'"{prompt}"' in STEPS.read_text() for prompt in prompts)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The studio in a folder with a clip that is not of the demo model's world, before it is open.

    It shows squares on noise.
    """
    for package in ("starlette", "uvicorn", "websockets", "playwright.sync_api"):
        pytest.importorskip(package)
    from chromium import chromium

    if chromium() is None:
        pytest.skip("no Chromium is installed (apt-get install chromium-headless-shell)")
    folder = tmp_path_factory.mktemp("studio")
    frames = np.random.default_rng(0).integers(0, 255, (2, 96, 96, 3), dtype=np.uint8)
    frames[:, 40:70, 15:45], frames[:, 40:70, 55:85] = (220, 30, 30), (30, 30, 220)
    encode_lossless(frames, folder / "clip.mkv", fps=8)
    with studio_on(folder) as address, page_at(address) as page:
        yield page


def step(page: Any, words: str) -> Any:
    """The line that says the next step, once it says this."""
    line = page.locator(".guide p", has_text=words)
    line.wait_for()
    return page.locator(".guide button").first


def test_nothing_can_be_pressed_before_a_clip_is_open(page: Any) -> None:
    page.locator(".clips button", has_text="clip").wait_for()
    for bar in (".tools", ".transport", ".views"):
        assert page.locator(f"{bar} button:visible").count() > 3
        assert not page.locator(f"{bar} button:visible:not(:disabled)").count()
    assert not page.locator(".guide").is_visible()


def test_the_next_step_follows_what_is_there(page: Any) -> None:
    page.locator(".clips button", has_text="clip").click()
    step(page, "Drag each point onto its figure, then track.")
    box = page.locator(".cm-line", has_text="edit instance right").bounding_box()
    editor = page.locator(".editor").bounding_box()
    assert box["y"] + box["height"] <= editor["y"] + editor["height"], "below the fold"
    finding = page.locator(".finding", has_text="G357")
    finding.wait_for()
    assert "grain" not in finding.text_content()
    words, button = finding.locator(".finding-words"), finding.locator(".fix")
    assert words.bounding_box()["width"] > 300
    assert button.evaluate("b => b.scrollWidth <= b.clientWidth")
    assert page.locator(".finding", has_text="G354").count() == 0

    page.keyboard.press("g")
    page.locator(".guide").wait_for(state="hidden")
    page.reload()
    page.locator(".chip[data-region=left]").wait_for()
    assert not page.locator(".guide").is_visible()
    page.keyboard.press("g")
    button = step(page, "Drag each point onto its figure, then track.")
    button.focus()
    page.keyboard.press("Enter")
    step(page, "Tracking is under way")
    page.locator(".job.done", has_text="Track").wait_for(timeout=LONG * 1000)
    step(page, "Describe the clip").click()
    page.keyboard.type("a red man and a blue man")
    wait_for(page, 'source "a red man and a blue man"')
    page.locator(".cm-line", has_text='target "a robot').click()
    page.keyboard.press("Home")
    page.keyboard.press("Shift+End")
    page.keyboard.insert_text('target "a robot and a bear on a gras"')
    step(page, "Run: the edit is made.")
    page.locator(".cm-line", has_text="edit instance right").click()
    page.keyboard.press("Control+a")
    text = text_of(page).replace('"bear"', '"bears"') + "\nsampler ddim { steps 1 }\n"
    page.keyboard.insert_text(text)
    step(page, "Select words of target, and bind them")
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text.replace('"bears"', '"bear"'))
    step(page, "Run: the edit is made.")


def test_completions_have_icons_that_every_font_has(page: Any) -> None:
    page.locator(".cm-content").click()
    page.keyboard.press("Control+End")
    page.keyboard.press("Control+Space")
    page.locator(".cm-tooltip-autocomplete li svg.icon").first.wait_for()
    assert page.locator(".cm-completionIcon").count() == 0
    page.keyboard.press("Escape")


def test_a_runs_warnings_are_told_as_they_come_and_kept_with_it(page: Any) -> None:
    track(page)
    page.keyboard.press("Control+Enter")
    page.locator(".job.running .finding", has_text="G510").wait_for(timeout=LONG * 1000)
    page.locator(".notice", has_text="cartoon world").locator(
        "button", has_text="Cancel the run"
    ).wait_for(timeout=LONG * 1000)
    page.locator(".job.running .finding", has_text="G511").wait_for()
    page.locator(".job.done .finding", has_text="G511").wait_for(timeout=LONG * 1000)
    page.locator(".notice", has_text="The run is done, with").wait_for()
    assert page.locator(".notice", has_text="Cancel the run").count() == 0
    page.locator(".views .warned", has_text="warnings").click()
    run = page.locator("#panel-runs .run", has_text="clip")
    assert {"G510", "G511"} <= set(run.locator(".code").all_text_contents())
    assert page.locator(".chip .share.untracked").count() == 0

"""Drive `grain studio` in Chromium through an edit, and write a page of screenshots to look at.

    python runtime/benchmarks/studio_gallery.py --out gallery
    python runtime/benchmarks/studio_gallery.py --out gallery --clip bikes.mp4

It needs the extra `dev` and a Chromium. A clip of the demo world is opened, two figures are clicked
and tracked, two phrases are bound to them by selecting words, the edit runs, and is compared with
the clip; in the end the same in light colours. With `--clip`, that clip is opened too, as a
newcomer sees it. Nothing here tests how things look: that can only be seen by looking.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "runtime"), str(ROOT / "tests" / "support")]

from studio_page import (  # noqa: E402
    LONG,
    page_at,
    point_at,
    select,
    studio_on,
    track,
    view,
    wait_for,
    wait_for_masks,
)

PROMPTS = """grain 1

video "two_men.mp4"

source "a red man and a blue man on grass before green trees"
target "a green robot and a yellow bear on grass before cherry trees"

region trees = rest

edit trees -> "cherry trees"

sampler ddim { steps 20 guidance 4 }
"""


class Shots:
    """Screenshots of 1280x800, in a folder, with captions."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.taken: list[tuple[str, str]] = []

    def take(self, page: Any, name: str, caption: str) -> None:
        """Take one when the page has come to rest."""
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(600)
        file = f"{len(self.taken) + 1:02}-{name}.png"
        page.screenshot(path=self.out / file)
        self.taken.append((file, caption))
        print(f"{file}: {caption}", flush=True)

    def page(self) -> Path:
        """Write ``index.html``."""
        style = (
            "body{font:16px sans-serif;max-width:1300px;margin:2em auto}img{border:1px solid #999}"
        )
        figures = "".join(
            f'<figure><figcaption>{escape(caption)}</figcaption><img src="{file}" alt=""></figure>'
            for file, caption in self.taken
        )
        text = (
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Studio</title>'
            f"<style>{style}</style><h1>The studio, step by step</h1>{figures}</html>"
        )
        (self.out / "index.html").write_text(text, encoding="utf-8")
        return self.out / "index.html"


def replace_text(page: Any, text: str) -> None:
    """Replace the whole text by pasting."""
    page.locator(".cm-content").focus()
    page.keyboard.press("Control+a")
    page.locator(".cm-content").evaluate(
        """(content, text) => {
            const clipboardData = new DataTransfer();
            clipboardData.setData("text/plain", text);
            content.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
        }""",
        text,
    )
    page.locator("canvas.picture").focus()


def panel(page: Any, name: str) -> None:
    """Show a panel below the text."""
    page.get_by_role("tab", name=name).click()


def an_edit(page: Any, shots: Shots) -> None:
    """From a clip to an edit that is compared with it."""
    wait_for(page, "A first spec")
    page.locator(".chip").nth(1).wait_for()
    shots.take(page, "opened", "A clip is opened: a first spec, with comments that explain it.")

    replace_text(page, PROMPTS)
    wait_for_masks(page, 1)
    page.keyboard.press("p")
    for x, y, name in ((0.28, 0.6, "region_1"), (0.72, 0.62, "region_2")):
        point_at(page, x, y, name)
    shots.take(page, "clicked", "Other prompts; two figures are clicked, and are two regions.")

    track(page)
    wait_for_masks(page, 3)
    shots.take(page, "tracked", "Both are tracked; their masks are drawn over the clip.")

    select(page, "green robot")
    page.locator(".bind-bar button", has_text="region_1").wait_for()
    shots.take(page, "words", "Words of the target are selected: which region becomes that?")
    page.locator(".bind-bar button", has_text="region_1").click()
    wait_for(page, 'edit region_1 -> "green robot"')
    select(page, "yellow bear")
    page.locator(".bind-bar button", has_text="region_2").click()
    wait_for(page, 'edit region_2 -> "yellow bear"')
    panel(page, "Findings")
    shots.take(page, "bound", "Two phrases are bound, and the findings are shown.")
    panel(page, "Plan")
    page.locator("#panel-plan table").first.wait_for()
    shots.take(page, "plan", "What the plan says of this edit.")

    page.locator("canvas.picture").focus()
    page.keyboard.press("Control+Enter")
    page.locator(".job.running .job-head", has_text=" / 20").wait_for(timeout=LONG * 1000)
    page.wait_for_timeout(1500)
    shots.take(page, "running", "The edit runs; its progress is shown.")
    page.locator(".job.done", has_text="Run").wait_for(timeout=LONG * 1000)
    page.locator(".segments button[aria-pressed=true]", has_text="Slider").wait_for()
    shots.take(page, "slider", "Before and after, with a slider.")


def comparisons(page: Any, shots: Shots) -> None:
    """The other views, panels, and light colours."""
    page.locator("canvas.picture").focus()
    view(page, "s", "Side by side")
    shots.take(page, "side", "Side by side.")
    view(page, "d", "Difference")
    shots.take(page, "difference", "The difference.")
    panel(page, "Runs")
    shots.take(page, "runs", "Earlier runs of this spec.")
    page.locator("canvas.picture").focus()
    page.keyboard.press("t")
    for key, name in (("x", "Slider"), ("c", "Clip")):
        view(page, key, name)
        shots.take(page, f"light-{name.lower()}", f"In light colours: {name.lower()}.")
    panel(page, "Plan")
    shots.take(page, "light-plan", "In light colours: the plan.")
    page.locator("canvas.picture").focus()
    page.keyboard.press("?")
    page.locator("dialog.help").wait_for()
    shots.take(page, "keys", "All keys.")
    page.keyboard.press("Escape")


def mistakes(page: Any, shots: Shots) -> None:
    """A half-typed text, and a word that is not in the prompt."""
    page.keyboard.press("t")
    replace_text(page, PROMPTS.replace('"cherry trees"\n\nsampler', '"chery trees"\n\nsampler'))
    panel(page, "Findings")
    page.locator("#panel-findings", has_text="G104").wait_for()
    shots.take(page, "mistake", "A mistake, with its fix.")
    line = page.locator(".cm-line", has_text="edit trees")
    line.click()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    page.keyboard.type("edit ", delay=80)
    page.keyboard.press("Control+Space")
    page.locator(".cm-tooltip-autocomplete").wait_for()
    shots.take(page, "completion", "Regions are offered where regions stand.")
    page.keyboard.press("Escape")


def a_real_clip(page: Any, shots: Shots) -> None:
    """What a newcomer sees of a clip of their own, before and after tracking."""
    wait_for(page, "A first spec")
    page.locator(".chip").nth(1).wait_for()
    shots.take(page, "own", "A clip of one's own is opened.")
    page.locator("canvas.picture").focus()
    track(page)
    wait_for_masks(page, 2)
    shots.take(page, "own-tracked", "It is tracked from where the first spec's points are.")
    panel(page, "Plan")
    page.wait_for_timeout(5000)
    shots.take(page, "own-plan", "What the plan says of it.")
    panel(page, "Findings")
    shots.take(page, "own-findings", "What is found.")


def nothing_open(page: Any, shots: Shots) -> None:
    """The page before a clip is chosen."""
    page.locator(".start h1").wait_for()
    shots.take(page, "start", "Without a spec or a clip.")


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder of the page")
    parser.add_argument("--clip", type=Path, help="a clip of your own, which is opened too")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    shots = Shots(arguments.out)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        clip = folder / "two_men.mp4"
        shutil.copy(ROOT / "examples" / "clips" / clip.name, clip)

        def drive(start: Path, *scenes: Callable[[Any, Shots], None]) -> None:
            with studio_on(start) as address, page_at(address) as page:
                for scene in scenes:
                    scene(page, shots)

        drive(folder, nothing_open)
        drive(clip, an_edit, comparisons, mistakes)
        if arguments.clip:
            drive(Path(shutil.copy(arguments.clip, folder)), a_real_clip)
    print(f"wrote {shots.page()}")


if __name__ == "__main__":
    main()

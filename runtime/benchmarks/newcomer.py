"""Time a newcomer's road: `pip install` to an own edit of an own clip, without reading a manual.

    python runtime/benchmarks/newcomer.py
    python runtime/benchmarks/newcomer.py --clip bikes.mp4 --json road.json

Everything is really done: grainspec is installed from its wheel into a fresh environment, `grain
studio` opens the clip, and Chromium does what a person would do with the mouse and the keyboard.
What the person needs is not measured but computed by the keystroke-level model (Card, Moran and
Newell, 1980, Communications of the ACM 23(7), 396-410): a key or a button 0.28 s, pointing 1.1 s, a
hand between mouse and keyboard 0.4 s, making up one's mind 1.35 s; nothing is counted for reading
what the page says. What the machine needs is measured, and has its own column. What the page says
on the way is printed, to be read with a newcomer's eyes.

It needs the extra `dev` and a Chromium. pip is used as it is set up here, with constraints.txt.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support")]

from studio_page import (  # noqa: E402
    LONG,
    page_at,
    place,
    select,
    studio_on,
    wait_for,
)

SECONDS = {"K": 0.28, "P": 1.1, "H": 0.4, "M": 1.35}


@dataclass
class Road:
    """What was done, by whom, and how long it took."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    hand: str = "keyboard"
    operators: str = ""

    def mouse(self, operators: str) -> None:
        """The person points, presses and releases."""
        self._move("mouse")
        self.operators += operators

    def keys(self, count: int) -> None:
        """The person presses keys."""
        self._move("keyboard")
        self.operators += "K" * count

    def think(self) -> None:
        """The person makes up their mind."""
        self.operators += "M"

    def _move(self, to: str) -> None:
        if self.hand != to:
            self.operators += "H"
            self.hand = to

    def step(self, what: str, act: Callable[[], object]) -> None:
        """Do a step, whose waiting is measured; what the person does in it was told before."""
        time.sleep(0.5)  # no person is faster
        start = time.monotonic()
        act()
        waited = time.monotonic() - start
        person = sum(SECONDS[operator] for operator in self.operators)
        row = {"step": what, "operators": self.operators, "person": person, "machine": waited}
        self.rows.append(row)
        self.operators = ""
        print(f"{what}: person {person:.1f} s, machine {waited:.1f} s", flush=True)

    def table(self) -> str:
        """As Markdown."""
        lines = ["| step | keys, clicks | person, s | machine, s |", "|---|---|---|---|"]
        for row in self.rows:
            count = row["operators"].count("K")
            lines.append(
                f"| {row['step']} | {count} | {row['person']:.1f} | {row['machine']:.1f} |"
            )
        person, machine = (sum(row[key] for row in self.rows) for key in ("person", "machine"))
        count = sum(row["operators"].count("K") for row in self.rows)
        return "\n".join([*lines, f"| together | {count} | {person:.0f} | {machine:.0f} |"])


def installed(road: Road, folder: Path) -> Path:
    """Install the wheel of this tree as a newcomer does; its `grain`."""
    source = folder / "source"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, listed):
        if (ROOT / name).exists():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip"]
    subprocess.run([*pip, "wheel", "-q", "--no-deps", "-w", folder / "dist", source], check=True)
    [wheel] = (folder / "dist").glob("*.whl")
    environment = folder / ".venv"

    def command(said: str, run: list[str]) -> None:
        road.think()
        road.keys(len(said) + 1)
        road.step(f"`{said}`", lambda: subprocess.run(run, check=True, cwd=folder))

    command("python3 -m venv .venv", [sys.executable, "-m", "venv", str(environment)])
    constraints = str(ROOT / "constraints.txt")
    command(
        '.venv/bin/pip install -c constraints.txt ".[studio]"',
        [str(environment / "bin" / "pip"), "install", "-q", "-c", constraints, f"{wheel}[studio]"],
    )
    return environment / "bin" / "grain"


def said(page: Any) -> None:
    """Print what the page tells a newcomer now."""
    for where in ("#panel-findings li", ".notice", ".transport .hint"):
        for text in page.locator(where).all_inner_texts():
            print(f"    says: {' '.join(text.split())}")


def edited(road: Road, page: Any) -> None:
    """From the first spec to an edit, as far as the person acts."""
    wait_for(page, "A first spec")
    page.locator(".chip").nth(1).wait_for()
    aspect = page.evaluate("(async () => { const c = await (await fetch('api/clip')).json();"
                           " return c.width / c.height; })()")  # fmt: skip

    def drag(start: tuple[float, float], end: tuple[float, float]) -> None:
        page.mouse.move(*place(page, *start, aspect))
        page.mouse.down()
        page.mouse.move(*place(page, *end, aspect), steps=5)
        page.mouse.up()
        wait_for(page, f"point({end[0]:.0%}, {end[1]:.0%})")

    # The text is long: what is looked for there has to be scrolled to.
    def scroll() -> None:
        page.locator(".cm-scroller").hover()
        page.mouse.wheel(0, 2000)
        wait_for(page, "edit instance right")

    road.think()
    road.mouse("PK")
    road.step("scroll the text to the prompts, the regions and the edits", scroll)
    for name, start, end in (
        ("left", (0.3, 0.55), (0.28, 0.6)),
        ("right", (0.7, 0.55), (0.72, 0.62)),
    ):
        road.think()
        road.mouse("PKPK")
        road.step(f"drag the point of `{name}` to its object", lambda s=start, e=end: drag(s, e))

    def typed(word: str, new: str) -> None:
        select(page, word)
        page.keyboard.type(new)
        wait_for(page, new)

    for old, new in (("man and a cat", "red man and a blue man"), ("bear", "yellow penguin")):
        road.think()
        road.mouse("PKPK")
        road.think()
        road.keys(len(new))
        road.step(f"select “{old}” in a prompt, type “{new}”", lambda o=old, n=new: typed(o, n))

    def bind() -> None:
        select(page, "yellow penguin")
        page.locator(".bind-bar button", has_text="right").click()
        wait_for(page, 'edit instance right -> "yellow penguin"')

    road.think()
    road.mouse("PKPKPK")
    road.step("select “yellow penguin” and bind it to `right`", bind)
    page.wait_for_timeout(1500)
    said(page)

    def run() -> None:
        page.get_by_role("button", name="Run", exact=True).click()
        page.locator(".job.done", has_text="Run").wait_for(timeout=2 * LONG * 1000)

    road.think()
    road.mouse("PK")
    road.step("press Run: tracking and the edit", run)
    page.wait_for_timeout(1000)
    said(page)

    def compare() -> None:
        page.locator(".segments button[aria-pressed=true]", has_text="Slider").wait_for()
        page.mouse.move(*place(page, 0.5, 0.5, aspect))
        page.mouse.down()
        page.mouse.move(*place(page, 0.1, 0.5, aspect), steps=5)
        page.mouse.up()

    road.mouse("PKPK")
    road.step("drag the slider between before and after", compare)


def main() -> None:
    """Print the road, and what the page says on it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--clip", type=Path, default=ROOT / "examples" / "clips" / "two_men.mp4")
    parser.add_argument("--grain", type=Path, help="an installed `grain`, to leave out installing")
    parser.add_argument("--picture", type=Path, help="where to write a picture of the end")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    road = Road()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        grain = arguments.grain or installed(road, folder)
        (folder / "mine").mkdir()
        clip = Path(shutil.copy(arguments.clip, folder / "mine"))
        line = f".venv/bin/grain studio {clip.name}"
        start = time.monotonic()
        with studio_on(clip, grain) as address:
            ready = time.monotonic() - start
            road.think()
            road.keys(len(line) + 1)
            with page_at(address) as page:

                def opened() -> None:
                    page.locator(".chip").nth(1).wait_for()
                    page.locator("#panel-findings li").first.wait_for()

                road.step(f"`{line}`", opened)
                road.rows[-1]["machine"] += ready
                said(page)
                edited(road, page)
                if arguments.picture:
                    page.screenshot(path=arguments.picture)
    print(road.table())
    if arguments.json:
        arguments.json.write_text(json.dumps(road.rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

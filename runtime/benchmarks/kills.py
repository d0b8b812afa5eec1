"""Kill runs at random moments, and check that the old or the new result is whole, every time.

    python runtime/benchmarks/kills.py                    # 40 runs killed, 5 pairs at once
    python runtime/benchmarks/kills.py --runs 1000 --seed 7
    python runtime/benchmarks/kills.py --runs 0 --together 0 --operations

Two edits of the demo clip replace each other in one folder. `grain run` is killed with SIGKILL or
SIGTERM while it samples or saves: right after, each file in the folder must be byte for byte that
of one edit (run.json and report.html, which contain times, are only read). Then the same command
runs to its end: it resumes, must give the same bytes as a run that was never killed, and must leave
nothing beside the folder or in the cache. With --operations, saving is killed once at each of its
file operations. With --together, two runs begin at once, with one folder or one cache.

Takes 4 s a run on an idle core. Needs fork, and the source tree.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from grainspec import load
from grainspec.cli import main as grain
from grainspec.cli.ending import INTERRUPTED
from grainspec_runtime import Editor
from grainspec_runtime.cache.store import KINDS
from grainspec_runtime.editing import resume
from grainspec_runtime.editing.result import EditResult
from grainspec_runtime.runs.read import MANIFEST, is_kept
from grainspec_runtime.runs.write import save_run
from grainspec_runtime.whole_folder import restored

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
SPEC = """grain 1
video "clips/two_men.mp4" {{ frames 0..1 size 64x64 }}
source "a red man and a blue man on grass before green trees"
target "a green robot and a blue man on grass before green trees"
region left = masks("masks/two_men/left")
edit instance left -> "green robot" {{ weight {weight} }}
sampler {{ steps 8 }}
"""
WEIGHTS = {"old": 0.5, "new": 1}
NOT_COMPARED = {MANIFEST, "report.html"}
"""They contain times and memory."""

Digest = dict[str, str]


@dataclass
class Place:
    """A folder with the specs, the run that they write, and a cache."""

    root: Path
    out: Path = field(init=False)
    right: dict[str, Digest] = field(default_factory=dict)
    """The files of each edit, as a run that was not killed writes them."""

    def __post_init__(self) -> None:
        self.out = self.root / "runs" / "edit"
        for part in ("clips", "masks"):
            shutil.copytree(EXAMPLES / part, self.root / part)
        for name, weight in WEIGHTS.items():
            self.spec(name).write_text(SPEC.format(weight=weight))
        os.environ["GRAINSPEC_CACHE"] = str(self.root / "cache")
        os.environ["HF_HUB_OFFLINE"] = "1"

    def spec(self, name: str) -> Path:
        """Return the path of an edit's spec."""
        return self.root / f"{name}.grain"

    def edit_in(self, folder: Path) -> str:
        """Return which edit is whole in a folder; raises AssertionError if none is."""
        found = digest(folder)
        for name, right in self.right.items():
            if found == right:
                return name
        differ = {
            name: sorted(
                key for key in right.keys() | found.keys() if right.get(key) != found.get(key)
            )
            for name, right in self.right.items()
        }
        raise AssertionError(f"no edit is whole in {folder}; other files than of each: {differ}")

    def check_nothing_left(self) -> None:
        """Raise AssertionError if anything is left beside the runs or in the cache."""
        hidden = [path for path in self.root.rglob(".*") if path.name != ".gitignore"]
        assert not hidden, f"left over: {hidden}"
        unfinished = list((self.root / "cache" / KINDS["unfinished"]).iterdir())
        assert not unfinished, f"left in the cache: {unfinished}"


def digest(folder: Path) -> Digest:
    """Return the hash of each file of a run, which must be readable as a whole."""
    manifest = json.loads((folder / MANIFEST).read_text())
    assert (folder / "report.html").read_text().rstrip().endswith("</html>")
    files = {path for path in folder.iterdir() if path.name not in NOT_COMPARED}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return found | {MANIFEST: str(manifest["run_key"])}


def forked(work: Callable[[], object], log: Path) -> int:
    """Start a process that does the work and ends; returns its number."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        resume._SECONDS_BETWEEN = 0.0  # save the state after every step
        work()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def start(place: Place, name: str, out: Path | None = None) -> int:
    """Start `grain run` for one of the edits."""

    def run() -> None:
        sys.argv = ["grain", "run", str(place.spec(name)), "-o", str(out or place.out)]
        grain()

    return forked(run, place.root / "log.txt")


def ended(child: int) -> int:
    """Wait for a process, and return its exit status; negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def finish(place: Place, name: str) -> None:
    """Run an edit to its end."""
    assert ended(start(place, name)) == 0, (place.root / "log.txt").read_text()[-2000:]


def timed(place: Place, name: str) -> tuple[float, float]:
    """Run an edit to its end; returns its seconds, and when it began to save."""
    began = time.monotonic()
    saving, child = None, start(place, name)
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if saving is None and (place.out.parent / ".edit.grain-new").exists():
            saving = time.monotonic() - began
        time.sleep(0.001)
    return time.monotonic() - began, saving or 0.0


def killed(place: Place, name: str, moment: float, number: int, *, saving: bool) -> bool:
    """Kill a run after ``moment`` seconds, of saving if so; returns whether that ended it."""
    child = start(place, name)
    while saving and not (place.out.parent / ".edit.grain-new").exists():
        if os.waitpid(child, os.WNOHANG) != (0, 0):
            return False
        time.sleep(0.001)
    time.sleep(moment)
    os.kill(child, number)
    return ended(child) in (-number, INTERRUPTED)  # `grain` catches SIGTERM to clean up


def kill_runs(place: Place, count: int, dice: random.Random) -> None:
    """Kill ``count`` runs, half of them while they save; one that ends earlier does not count."""
    whole, began_saving = timed(place, "new")
    finish(place, "old")
    lasting = {False: whole, True: whole - began_saving}  # by whether only saving counts
    found, missed = {"old": 0, "new": 0}, 0
    while sum(found.values()) < count:
        before = place.edit_in(place.out)
        wanted = "new" if before == "old" else "old"
        number = dice.choice([signal.SIGKILL, signal.SIGTERM])
        saving = sum(found.values()) % 2 == 0
        moment = dice.uniform(0, lasting[saving])
        was_killed = killed(place, wanted, moment, number, saving=saving)
        restored(place.out, keeps=is_kept, last=MANIFEST)
        after = place.edit_in(place.out)
        if was_killed:
            found["new" if after == wanted else "old"] += 1
        else:
            assert after == wanted
            missed += 1
        lasting[saving] *= 1.1 if was_killed else 0.8  # the machine may be busier or less busy now
        finish(place, wanted)
        assert place.edit_in(place.out) == wanted
        place.check_nothing_left()
        print(
            f"\r{sum(found.values())} of {count} runs killed", end="", file=sys.stderr, flush=True
        )
    print(file=sys.stderr)
    print(
        f"{count} runs killed; each left a whole result: {found}. {missed} more ended before the "
        "signal."
    )


def kill_at_operations(place: Place) -> None:
    """Kill saving once at each of its file operations."""
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    from crash import in_child, kill

    finish(place, "old")
    editor = Editor(device="cpu")
    text = place.spec("new").read_text()
    result = editor.run(load(place.spec("new")), base=place.root)
    at, found = 0, {"old": 0, "new": 0}
    while in_child(lambda: save(result, place.out, text), kill(signal.SIGKILL), at) != 0:
        name = place.edit_in(place.out)
        found[name] += 1
        if name == "new" or at % 10 == 0:
            finish(place, "old")
            place.check_nothing_left()
        at += 1
    print(f"killed at each of {at} file operations of saving, a whole result was left: {found}")


def save(result: EditResult, folder: Path, text: str) -> None:
    """Save a result as `grain run` does."""
    save_run(result, folder, spec_text=text, spec_name="new.grain", arguments=[])


def run_together(place: Place, count: int) -> None:
    """Start two runs at once, in turn with one folder and with one cache."""
    refusals = 0
    for _ in range(count):
        children = [start(place, "new"), start(place, "old")]
        statuses = [ended(child) for child in children]
        assert sorted(statuses) in ([0, 0], [0, 1]), statuses
        refusals += 1 in statuses
        assert place.edit_in(place.out) in place.right
        folders = [place.root / "runs" / name for name in ("one", "other")]
        children = [start(place, "new", folder) for folder in folders]
        assert [ended(child) for child in children] == [0, 0]
        assert [place.edit_in(folder) for folder in folders] == ["new", "new"]
        place.check_nothing_left()
    print(f"{count} pairs of runs in one folder, {refusals} refused; {count} pairs with one cache")


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=40, help="number of runs to kill")
    parser.add_argument("--together", type=int, default=5, help="number of pairs of runs at once")
    parser.add_argument("--operations", action="store_true", help="kill saving at each operation")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # threads do not survive a fork
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        for name in WEIGHTS:
            finish(place, name)
            place.right[name] = digest(place.out)
        assert place.right["old"] != place.right["new"]
        if arguments.runs:
            kill_runs(place, arguments.runs, random.Random(arguments.seed))
        if arguments.together:
            run_together(place, arguments.together)
        if arguments.operations:
            kill_at_operations(place)


if __name__ == "__main__":
    main()

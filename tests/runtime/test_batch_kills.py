"""24 edits on two workers: each inversion made once, all whole, whatever is killed meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import ClipFolder
from PIL import Image

pytest.importorskip("ray")

from ray_here import assert_gone, begun, descendants, ray_here
from stub_batch import StubWork, stub_job, stub_units

from grainspec import GrainError, load
from grainspec_runtime import Editor
from grainspec_runtime.batch import manifest
from grainspec_runtime.batch.driver import Driver
from grainspec_runtime.batch.limits import Limits
from grainspec_runtime.batch.status import status_of
from grainspec_runtime.editing.edit import edit
from grainspec_runtime.prepare import prepare_variants
from grainspec_runtime.runs.write import save_run

pytestmark = pytest.mark.cluster

CLIPS, VARIANTS = 6, ("both", "left", "right", "strong")
SETTINGS = """
sampler { steps 3 }
variant both { attention { self 0.3 } }
variant left { target "a green robot and a bear" without right }
variant right { target "a man and a yellow bear" without left }
variant strong { attention { self 0.6 } }
"""
NOT_COMPARED = {"run.json", "report.html", "batch-row.json"}
"""They contain times and memory."""


def clips(root: Path) -> Path:
    """Six folders, each with a clip of its own, masks and the same spec; and a table of them."""
    for number in range(CLIPS):
        folder = root / f"clip{number}"
        folder.mkdir()
        made = ClipFolder(folder, frames=2)
        rng = np.random.default_rng(number)
        for frame in range(2):
            noise = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / "clip" / f"{frame:05}.png")
        (folder / "edit.grain").write_text(made.spec_text(settings=SETTINGS))
    table = root / "jobs.csv"
    table.write_text("spec\n" + "".join(f"clip{n}/edit.grain\n" for n in range(CLIPS)))
    return table


def digest(folder: Path) -> dict[str, str]:
    files = [path for path in folder.iterdir() if path.name not in NOT_COMPARED]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def without_ray(root: Path, out: Path) -> dict[tuple[str, str], dict[str, str]]:
    """The files of each edit as the editor makes them, by clip and variant."""
    made = {}
    for number in range(CLIPS):
        path = root / f"clip{number}" / "edit.grain"
        prepared = prepare_variants(load(path), VARIANTS, path.parent)
        with Editor(device="cpu", use_cache=False).session(prepared) as session:
            for one in prepared:
                folder = out / path.parent.name / str(one.variant)
                save_run(
                    edit(session, one),
                    folder,
                    spec_text=path.read_text(),
                    spec_name=path.name,
                    arguments=[],
                )
                made[path.parent.name, str(one.variant)] = digest(folder)
    return made


class Batch:
    """The command, in a process of its own."""

    def __init__(self, table: Path, out: Path) -> None:
        self.out = out
        self.arguments = ["batch", str(table), "-o", str(out), "--cpus", "2", "--device", "cpu"]
        self.arguments += ["--object-store", "100MB", "--workers", "2", "--format", "json"]

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "grainspec", *self.arguments],
            start_new_session=True,  # a terminal's Ctrl-C is for all of its processes
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def facts(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.out / "batch.json").read_text())
        except (OSError, ValueError):
            return {}
        return found

    def wait_until_done(self, count: int, process: subprocess.Popen[str]) -> dict[str, Any]:
        while process.poll() is None:
            facts = self.facts()
            if (facts.get("stages") or {}).get("done", 0) >= count and facts["workers"]:
                return facts
            time.sleep(0.1)
        raise AssertionError(process.communicate())


def test_a_worker_and_the_driver_are_killed(tmp_path: Path) -> None:
    chance = random.Random()
    table, out = clips(tmp_path), tmp_path / "out"
    right = without_ray(tmp_path, tmp_path / "right")
    batch = Batch(table, out)

    first = batch.start()
    facts = batch.wait_until_done(chance.randint(1, 6), first)
    os.kill(chance.choice(facts["workers"])["pid"], signal.SIGKILL)
    batch.wait_until_done(chance.randint(7, 14), first)
    time.sleep(chance.uniform(0, 1))
    first.kill()
    first.communicate()

    second = batch.start()
    said, errors = second.communicate(timeout=200)
    assert second.returncode == 0, errors
    summary = json.loads(said)
    assert (summary["jobs"], summary["done"], summary["set_aside"]) == (24, 24, [])
    assert summary["kept"] >= 7  # the driver had counted so many, and none is made again

    rows = list(manifest.latest(out).values())
    made = {(Path(row["spec"]).parent.name, row["variant"]): row for row in rows}
    assert made.keys() == right.keys()
    assert len(rows) == len(list((out / "runs").iterdir())) == 24
    for key, row in made.items():
        assert row["state"] == "done"
        assert digest(out / row["folder"]) == right[key], key
    cache = Path(os.environ["GRAINSPEC_CACHE"])
    assert len(list((cache / "inversions").glob("*.safetensors"))) == CLIPS
    assert not list(out.rglob("*.part"))
    assert not [path for path in out.rglob(".*") if "grain" in path.name]

    third = batch.start()  # nothing is left to do, and Ray does not even start
    assert json.loads(third.communicate(timeout=100)[0])["kept"] == 24


def interrupt(process: subprocess.Popen[str], times: int = 1) -> None:
    """Press Ctrl-C so often; the command and all that it has started then end."""
    made = {pid: begun(pid) for pid in descendants(process.pid)}
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.3)
    said, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.strip()) == (130, "interrupted"), said
    assert_gone(made)


@pytest.mark.timeout(300)
def test_ctrl_c_ends_a_batch_that_can_be_resumed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    batch = Batch(clips(tmp_path), out)
    early = batch.start()
    while not out.exists() and early.poll() is None:
        time.sleep(0.05)
    time.sleep(random.uniform(0, 6))  # while the cluster starts
    interrupt(early)

    first = batch.start()
    batch.wait_until_done(1, first)
    interrupt(first)
    runs = list((out / "runs").iterdir())
    assert 1 <= len(runs) < 24
    assert all((run / "run.json").is_file() for run in runs)
    assert {row["name"] for row in manifest.latest(out).values()} == {run.name for run in runs}
    assert not [path for path in out.rglob("*") if ".grain-" in path.name or ".part" in path.name]
    assert status_of(out)["state"] == "interrupted"

    second = batch.start()
    batch.wait_until_done(1, second)
    interrupt(second, times=3)

    third = batch.start()
    said, errors = third.communicate(timeout=200)
    assert third.returncode == 0, errors
    assert json.loads(said)["done"] == 24
    assert status_of(out)["state"] == "complete"
    assert not [path for path in out.rglob("*") if ".grain-" in path.name or ".part" in path.name]


@pytest.mark.timeout(200)
def test_a_batch_ends_if_its_cluster_does() -> None:
    def kill(driver: Driver) -> None:
        for pid in descendants(os.getpid()) if driver.counts["preparing"] else ():
            if Path(f"/proc/{pid}/comm").read_text().strip() == "raylet":
                os.kill(pid, signal.SIGKILL)

    units = stub_units([stub_job(1, 1, "endless")])
    with ray_here():
        driver = Driver(StubWork(), units, lambda row: None, limits=Limits(1), tick=kill)
        with pytest.raises(GrainError, match="ended while the batch ran") as refused:
            driver.run()
    assert refused.value.diagnostics[0].code == "G744"


def test_each_inversion_is_made_once(tmp_path: Path) -> None:
    batch = Batch(clips(tmp_path), tmp_path / "out")
    process = batch.start()
    said, errors = process.communicate(timeout=250)
    assert process.returncode == 0, errors
    assert json.loads(said)["inversions"] == CLIPS
    rows = manifest.latest(tmp_path / "out").values()
    assert [row["inversion_cached"] for row in rows] == [False] * 24  # none was before the batch
    assert "24 of 24 jobs are done" in (tmp_path / "out" / "index.html").read_text()

"""What the page of the studio shows and runs, on the examples, with the demo model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette")

from studio import Page, copied_examples, left_man_spec, opened

from grainspec.clip.crop import FrameCrop
from grainspec_runtime.media.decode import decode_frames
from grainspec_runtime.runs.read import read_run
from grainspec_runtime.studio.jobs import Job

SPEC = left_man_spec(steps=20)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = copied_examples(tmp_path_factory.mktemp("studio"))
    with opened(folder, "tracked.grain") as page:
        yield page


def picture(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(content)).convert("RGBA"))


# --- what is shown -------------------------------------------------------------------------------


def test_the_spec_and_its_clip_are_shown(page: Page) -> None:
    spec = page.get("spec")
    assert spec["path"] == "tracked.grain"
    assert spec["text"] == (page.folder / "tracked.grain").read_text()
    assert Path(spec["root"]) == page.folder
    clip = page.get("clip")
    assert clip == page.post("clip", text=spec["text"])
    size = clip["width"], clip["height"]
    crop = FrameCrop((0.0, 0.0, float(size[0]), float(size[1])), *size)
    path = page.folder / clip["path"]
    frames = decode_frames(path, range(clip["frames"]), crop)
    for number in (5, 0, 16, 3):
        shown = picture(page.get(f"clip/frames/{number}"))[..., :3]
        assert abs(shown.astype(int) - frames[number]).mean() < 4
    assert picture(page.get("clip/frames/3?width=50&v=1")).shape[1] == 50
    assert page.get("clip/frames/17", 404)["code"] == "G727"
    for width in ("0", "-1", "99999", "x", "٣"):
        assert page.get(f"clip/frames/0?width={width}", 400)["code"] == "G724"


def test_regions_of_the_text_are_drawn_on_a_frame(page: Page) -> None:
    shown = page.post("regions", text=page.text, frame=3)
    assert [region["name"] for region in shown["regions"]] == ["left", "middle", "right"]
    assert (shown["frame"], shown["findings"], shown["box"]) == (3, [], [0, 0, 1, 1])
    left = shown["regions"][0]
    assert (left["use"], left["phrase"], left["tracked"]) == ("edit", "orange alien", True)
    assert 0.5 < left["confidence"] <= 1
    mask = picture(page.get(f"masks/{shown['mask']}/left/3"))
    assert (mask[..., :3] == 255).all()
    inside = mask[..., 3] == 255
    assert inside.mean() == pytest.approx(left["share"], abs=1e-4)
    assert inside[:, : inside.shape[1] // 2].sum() > 0.9 * inside.sum()
    for path in (
        f"masks/{shown['mask']}/left/4",
        f"masks/{shown['mask']}/none/3",
        "masks/x/left/3",
    ):
        assert page.get(path, 404)["code"] == "G727"


def test_regions_follow_the_unsaved_text_and_not_the_file(page: Page) -> None:
    before = (page.folder / "tracked.grain").read_bytes()
    box = page.text.replace("track(point(14%, 71%) @ 0)", "box(0%, 0%, 25%, 100%)")
    shown = page.post("regions", text=box, frame=0)
    assert shown["regions"][0]["share"] == pytest.approx(0.25)
    moved = page.text.replace("14%", "15%")
    shown = page.post("regions", text=moved, frame=0)
    states = {region["name"]: region["tracked"] for region in shown["regions"]}
    assert states == {"left": False, "middle": True, "right": True}
    assert [found["code"] for found in shown["findings"]] == ["G354"]
    assert (page.folder / "tracked.grain").read_bytes() == before


def test_a_broken_text_has_findings_and_no_regions(page: Page) -> None:
    shown = page.post("regions", text=page.text.replace("-> ", "-> x"), frame=0)
    assert (shown["regions"], shown["mask"]) == ([], None)
    assert {found["severity"] for found in shown["findings"]} == {"error"}
    assert shown["findings"][0]["line"] > 1
    refused = page.post("jobs", 422, kind="run", text="grain 1")
    assert refused["code"] == "G008"
    assert len(refused["findings"]) > 1


def test_the_nearest_used_frame_is_shown(page: Page) -> None:
    text = page.text.replace('three_walkers.mp4"', 'three_walkers.mp4" { frames 2..10 step 4 }')
    text = text.replace("track(point(14%, 71%) @ 0)", "box(0%, 0%, 50%, 50%)")
    frames = {n: page.post("regions", text=text, frame=n)["frame"] for n in (0, 3, 5, 7, 9, 99)}
    assert frames == {0: 2, 3: 2, 5: 6, 7: 6, 9: 10, 99: 10}
    assert page.post("clip", text=text)["used"] == [2, 10, 4]


def test_masks_are_placed_in_the_whole_frame(page: Page) -> None:
    text = page.text.replace(
        'three_walkers.mp4"', 'three_walkers.mp4" { crop box(50%, 0%, 100%, 100%) size 32x64 }'
    ).replace("track(point(82%, 72%) @ 0)", "all")
    shown = page.post("regions", text=text, frame=0)
    mask = picture(page.get(f"masks/{shown['mask']}/right/0"))[..., 3] == 255
    assert shown["box"] == [0.5, 0, 1, 1]
    assert mask.shape == (64, 64)
    assert not mask[:, :32].any()
    assert mask[:, 32:].mean() > 0.5


def test_regions_are_quick(page: Page) -> None:
    text = page.text
    page.post("regions", text=text, frame=0)
    seconds = []
    for number in range(1, 12):  # another text and another frame each time
        start = time.perf_counter()
        page.post("regions", text=text + "#" * number, frame=number)
        seconds.append(time.perf_counter() - start)
    assert sorted(seconds)[len(seconds) // 2] < 0.2


def test_masks_that_are_kept_are_bounded(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    views = page.studio.regions._views
    monkeypatch.setattr(views, "_most", 100_000)
    keys = [page.post("regions", text=page.text + " " * n, frame=0)["mask"] for n in range(1, 20)]
    assert views._total <= 100_000
    page.get(f"masks/{keys[-1]}/left/0")
    page.get(f"masks/{keys[0]}/left/0", 404)


def test_the_server_loads_no_torch(page: Page) -> None:
    program = (
        "import sys, grainspec_runtime.studio.server, grainspec_runtime.commands.studio; "
        "print([name for name in ('torch', 'cv2', 'diffusers', 'transformers') "
        "if name in sys.modules])"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "[]"


def test_a_change_of_the_file_is_told(page: Page) -> None:
    path = page.folder / "tracked.grain"
    with page.socket("events") as events:
        time.sleep(1.5)
        path.write_text(path.read_text() + "# more\n")
        told = events.receive_json()
        while "spec" not in told:
            told = events.receive_json()
    assert told["spec"] == {"path": "tracked.grain", "version": page.get("spec")["version"]}


def test_it_is_told_that_the_file_is_gone(page: Page) -> None:
    path = page.folder / "tracked.grain"
    text = path.read_text()
    with page.socket("events") as events:
        time.sleep(1.5)
        path.unlink()
        told = events.receive_json()
        while "spec" not in told:
            told = events.receive_json()
        assert told["spec"] == {"path": "tracked.grain", "version": ""}
        path.write_text(text)


@pytest.mark.parametrize(
    ("kind", "stage", "resumes", "words"),
    [
        ("run", "sample", True, "resumes after the sampling steps"),
        ("run", "invert", False, "inverts from the first step"),
        ("run", "load model", False, "before sampling"),
        ("track", "track", True, "resumes after the tracked frames"),
    ],
)
def test_a_cancelled_job_says_what_is_kept(
    kind: Literal["track", "run"], stage: str, resumes: bool, words: str
) -> None:
    job = Job(kind, Path("a.grain"), "", state="cancelled", stage=stage)
    assert words in job.as_json()["message"]
    assert job.as_json()["resumes"] == resumes


def test_changes_of_a_job_are_counted(page: Page) -> None:
    with page.socket("events") as events:
        answer = page.post("jobs", 201, kind="track", text=SPEC)
        told = [answer]
        while told[-1]["state"] not in ("done", "failed"):
            event = events.receive_json()
            told += [event] if event.get("job") == answer["job"] else []
    revisions = [one["revision"] for one in told[1:]]
    assert revisions == sorted(set(revisions))
    assert told[0]["state"] == "waiting"
    assert told[0]["revision"] < revisions[-1]


def test_the_language_server_answers_over_the_socket(page: Page) -> None:
    uri = (page.folder / "tracked.grain").as_uri()
    with page.socket("language") as language:
        asked: dict[str, Any] = {"processId": None, "rootUri": None, "capabilities": {}}
        language.send_json({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": asked})
        assert "completionProvider" in language.receive_json()["result"]["capabilities"]
        language.send_json({"jsonrpc": "2.0", "method": "initialized", "params": {}})
        document = {"uri": uri, "languageId": "grain", "version": 1, "text": "grain 1\nvideo 3\n"}
        opened = {"textDocument": document}
        language.send_json({"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": opened})
        told = language.receive_json()
        while told.get("method") != "textDocument/publishDiagnostics":
            told = language.receive_json()
        assert told["params"]["diagnostics"]


# --- jobs ----------------------------------------------------------------------------------------


def test_a_job_tracks_the_unsaved_text(tmp_path: Path) -> None:
    with opened(copied_examples(tmp_path), "tracked.grain") as page:
        text = page.text.replace("14%", "15%").replace(
            'walkers.mp4"', 'walkers.mp4" { frames 0..3 }'
        )
        assert page.post("plan", 409, text=text, variant=None)["code"] == "G354"
        with page.socket("events") as events:
            job = page.post("jobs", 201, kind="track", text=text)
            assert job["state"] in ("waiting", "running")
            told = []
            while not told or told[-1]["state"] not in ("done", "failed"):
                told.append(events.receive_json())
        assert told[-1]["state"] == "done", told[-1]
        assert told[-1]["total"] == 4
        assert {one["stage"] for one in told} >= {"", "track"}
        assert page.get("jobs")["jobs"][-1]["job"] == job["job"]
        shown = page.post("regions", text=text, frame=3)
        assert all(region["tracked"] for region in shown["regions"])
        assert page.text != text


def test_a_cancelled_run_leaves_nothing_and_the_resumed_one_is_shown(page: Page) -> None:
    (page.folder / "torch.py").write_text("raise SystemExit('a file beside the spec was imported')")
    before = sorted(page.folder.rglob("*"))
    unknown = SPEC.replace('trees"\nregion', 'jolly trees"\nregion')
    asked: dict[str, Any] = {"kind": "run", "text": unknown, "sets": ["sampler.seed=3"]}
    job = page.post("jobs", 201, **asked)["job"]
    waiting = page.post("jobs", 201, kind="run", text=SPEC)["job"]
    assert page.asked("DELETE", f"jobs/{waiting}")["state"] == "cancelled"
    assert page.post("jobs", 404, kind="run", text=SPEC, variant="none")["code"] == "G727"
    page.reached(job, "sample", 2)
    assert page.asked("DELETE", f"jobs/{job}")["state"] == "cancelling"
    ended = page.ended(job)
    assert (ended["state"], ended["error"], ended["runs"]) == ("cancelled", None, [])
    assert sorted(page.folder.rglob("*")) == before
    assert page.get("runs") == {"runs": []}
    again = page.post("jobs", 201, **asked)["job"]
    told = page.reached(again, "load model", 0)["findings"]
    assert [found["code"] for found in told] == ["G111", "G510"]
    ended = page.ended(again)
    assert (ended["state"], ended["runs"]) == ("done", ["tracked"]), ended
    assert ended["findings"] == told
    [run] = page.get("runs")["runs"]
    said = [{name: one[name] for name in ("code", "message", "cure")} for one in told]
    assert run["warnings"] == said
    check_run_is_shown(page)


def check_run_is_shown(page: Page) -> None:
    [run] = page.get("runs")["runs"]
    assert run["name"] == "tracked"
    assert (run["own"], run["complete"], run["report"]) == (True, True, True)
    assert (run["frames"], run["width"], run["height"]) == ([0, 1], 64, 64)
    written = read_run(page.folder / "runs" / "tracked")
    assert written.manifest["seed"] == 3
    assert written.manifest["inversion_cached"]
    for number in run["frames"]:
        edited = picture(page.get(f"runs/tracked/frames/{number}?of=edited"))[..., :3]
        source = picture(page.get(f"runs/tracked/frames/{number}?of=source"))[..., :3]
        assert (edited == written.edited[number]).all()
        assert abs(source.astype(int) - written.source[number]).max() <= 3
        difference = picture(page.get(f"runs/tracked/frames/{number}?of=difference"))[..., :3]
        assert run["difference_gain"] == 4
        expected = np.clip(4 * abs(edited.astype(int) - source), 0, 255)
        assert (difference == expected).all()
    assert page.get("runs/tracked/frames/2", 404)["code"] == "G727"
    assert page.get("runs/tracked/frames/0?of=all", 400)["code"] == "G724"
    report = page.client.get("/api/runs/tracked/report")
    assert "<!DOCTYPE html>" in report.text
    policy = report.headers["content-security-policy"]
    assert "sandbox allow-scripts;" in policy
    assert "allow-same-origin" not in policy
    assert "frame-ancestors 'self'" in policy


def test_jobs_end_with_the_studio(tmp_path: Path) -> None:
    with opened(copied_examples(tmp_path), "instance.grain") as page:
        long = SPEC.replace("steps 20", "steps 400")  # longer than any patience
        page.post("jobs", 201, kind="run", text=long)
        waiting = page.post("jobs", 201, kind="run", text=SPEC)
        jobs = page.studio.jobs
    assert [job.state for job in jobs.all()] == ["cancelled", "cancelled"]
    assert jobs.named(waiting["job"]).began == 0
    assert not (tmp_path / "runs").exists()


def test_a_job_that_fails_says_why(page: Page) -> None:
    refused = page.post("jobs", 422, kind="run", text=SPEC, sets=["sampler.x=3"])
    assert refused["code"] == "G201"
    broken = SPEC.replace("masks/two_men/left", "masks/none")
    failed = page.ended(page.post("jobs", 201, kind="track", text=broken)["job"])
    assert (failed["state"], failed["error"]["code"]) == ("failed", "G304")
    assert failed["message"] == failed["error"]["message"]


def test_a_plan_is_that_of_the_command(page: Page) -> None:
    plan = page.post("plan", text=SPEC)
    assert plan["backbone"] == "demo"
    assert plan["frames"] == [0, 1]
    start = time.perf_counter()
    assert page.post("plan", text=SPEC, variant=None) == plan
    assert time.perf_counter() - start < 0.5


# --- the server ----------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_the_command_serves_on_the_loopback_address_until_it_is_stopped(tmp_path: Path) -> None:
    folder = copied_examples(tmp_path)
    program = "from grainspec_runtime.commands.studio import studio; studio()"
    command = [sys.executable, "-c", program, str(folder / "instance.grain"), "--port", "0"]
    with subprocess.Popen(
        [*command, "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split(": ", 1)[1].strip()
            assert address.startswith("http://127.0.0.1:")
            answer = urllib.request.urlopen(address, timeout=20)
            cookie = answer.headers["set-cookie"].partition(";")[0]
            root, _, token = address.partition("?token=")
            asked = urllib.request.Request(f"{root}api/spec", headers={"cookie": cookie})
            assert b"instance.grain" in urllib.request.urlopen(asked, timeout=20).read()
            port = root.rsplit(":", 1)[1].strip("/")
            assert cookie == f"grain_studio_{port}={token}"
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert token not in out + err

"""The studio's queue, its commands' ends, its events, and how it is started."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from command import Grain
from starlette.websockets import WebSocketDisconnect
from studio import EXAMPLES

from grainspec import GrainError
from grainspec.cli.app import _extensions
from grainspec_runtime.commands.studio import _opened
from grainspec_runtime.studio import jobs as queue
from grainspec_runtime.studio import process, server
from grainspec_runtime.studio.events import Events
from grainspec_runtime.studio.jobs import Job, Jobs
from grainspec_runtime.studio.kept import Kept
from grainspec_runtime.studio.process import Command, Ended
from grainspec_runtime.studio.routes import _Sockets
from grainspec_runtime.studio.server import bound_socket
from grainspec_runtime.studio.studio import Studio


def ended_by(
    program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> tuple[Ended, list[Any]]:
    """How a command ends whose program is another one."""
    monkeypatch.setattr(process, "_START", program)
    told: list[Any] = []
    command = Command(tmp_path, ["run"], "text é\n" * 100_000)
    ended = asyncio.run(command.run(lambda *progress: told.append(progress)))
    return ended, told


def test_a_command_that_dies_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = "import os, sys; print('Killed \\x1b[2J', file=sys.stderr, flush=True); os._exit(9)"
    ended, _ = ended_by(program, monkeypatch, tmp_path)
    [found] = ended.findings
    assert (ended.code, found["code"]) == (9, "G729")
    assert "Killed \\x1b[2J" in found["message"]


def test_progress_is_read_between_what_libraries_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = """if True:
        import sys
        text = sys.stdin.read()
        for line in ("warning", '{"stage": "s", "done": 1, "total": 2}', '{"stage": 3}', "[]", "{"):
            print(line, file=sys.stderr)
        print("x" * 1_000_000, file=sys.stderr)
        print('{"length": %d}' % len(text))
    """
    ended, told = ended_by(program, monkeypatch, tmp_path)
    assert told == [("s", 1, 2)]
    assert (ended.code, ended.output) == (0, {"length": 700_000})
    assert len(ended.said) <= 4000


def test_warnings_are_told_while_a_command_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    warning = '{"warning": {"code": "G511", "message": "strange", "cure": "Stop."}}'
    program = f"""if True:
        import sys
        for line in ('{warning}', '{{"warning": 3}}', '{{"stage": "s", "done": 1, "total": 2}}'):
            print(line, file=sys.stderr, flush=True)
        sys.exit(1)
    """
    monkeypatch.setattr(process, "_START", program)
    said: list[dict[str, Any]] = []
    events = Events()
    monkeypatch.setattr(events, "publish", lambda number, told: said.append(told))

    async def told() -> Job:
        jobs = Jobs(events, lambda: None)
        job = jobs.add(Job("run", tmp_path / "edit.grain", ""))
        while not job.is_over:
            await asyncio.sleep(0.02)
        await jobs.close()
        return job

    job = asyncio.run(told())
    found = next(one["findings"] for one in said if one["stage"] == "s")
    assert [one["code"] for one in found] == ["G511"]
    shown = job.as_json()
    assert [one["code"] for one in shown["findings"]] == ["G729", "G511"]
    assert shown["error"]["code"] == "G729"


def test_output_that_is_no_json_is_no_result(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    job = Job("run", tmp_path / "edit.grain", "")
    job.end(ended_by("print('done')", monkeypatch, tmp_path)[0])
    assert (job.state, job.findings[0]["code"]) == ("failed", "G729")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_command_that_does_not_stop_is_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = """if True:
        import signal, sys, time
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: print("no", file=sys.stderr, flush=True))
        print('{"stage": "ready", "done": 0, "total": 0}', file=sys.stderr, flush=True)
        while True:
            time.sleep(0.1)
    """
    monkeypatch.setattr(process, "_START", program)
    monkeypatch.setattr(process, "_PATIENCE", ((signal.SIGINT, 0.3), (signal.SIGTERM, 0.3)))
    command = Command(tmp_path, [], "")

    def stop(*progress: object) -> None:
        command.stop()
        command.stop()

    ended = asyncio.run(command.run(stop))
    assert ended.code == -signal.SIGKILL
    assert ended.said == "no\nno\n"


def test_a_command_can_be_stopped_before_it_began(tmp_path: Path) -> None:
    async def stopped() -> Ended:
        command = Command(tmp_path, ["run", "--stdin", "--", "edit.grain"], "")
        command.stop()
        return await command.run()

    start = time.monotonic()
    assert asyncio.run(stopped()).code != 0
    assert time.monotonic() - start < 20


def test_the_queue_is_bounded_and_forgets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(queue, "MAX_WAITING", 3)
    monkeypatch.setattr(process, "_START", "import time; time.sleep(0.2); print('{}')")

    async def fill() -> None:
        jobs = Jobs(Events(), lambda: None)
        added = [jobs.add(Job("track", tmp_path / "edit.grain", "")) for _ in range(3)]
        with pytest.raises(GrainError, match="G728"):
            jobs.add(Job("track", tmp_path / "edit.grain", ""))
        for job in added[1:]:
            jobs.cancel(job.number)
        for _ in range(4):
            jobs.cancel(jobs.add(Job("track", tmp_path / "edit.grain", "")).number)
        assert len(jobs.all()) <= 4
        with pytest.raises(GrainError, match="G727"):
            jobs.named(added[1].number)
        await jobs.close()

    asyncio.run(fill())


def test_names_of_files_and_variants_are_no_options(tmp_path: Path) -> None:
    job = Job("run", tmp_path / "--help.grain", "", variant="--fresh", sets=("--x=1",))
    arguments = job.command._arguments
    assert arguments[-2:] == ["--", "--help.grain"]
    assert "--variant=--fresh" in arguments
    assert "--set=--x=1" in arguments


def test_a_slow_page_gets_the_latest_of_each_subject() -> None:
    async def heard() -> list[Any]:
        events = Events()
        with events.listening() as listener:
            for number in range(100_000):
                events.publish(f"job {number % 3}", {"number": number})
            told = [await listener.next() for _ in range(3)]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await listener.next()
        events.publish("job 0", {})
        assert not listener._waiting
        return told

    assert sorted(one["number"] for one in asyncio.run(heard())) == [99_997, 99_998, 99_999]


def test_a_page_that_vanishes_is_no_error(tmp_path: Path) -> None:
    class Vanished:
        async def accept(self) -> None:
            pass

        async def send_json(self, event: object) -> None:
            raise WebSocketDisconnect(1006)

        async def receive(self) -> None:
            await asyncio.sleep(60)

        async def close(self, code: int) -> None:
            raise WebSocketDisconnect(1006)

    async def served() -> None:
        studio = Studio(tmp_path)
        sockets = _Sockets(studio)
        serving = asyncio.create_task(sockets.events(Vanished()))  # type: ignore[arg-type]
        await asyncio.sleep(0.01)
        studio.events.publish("job", {})
        await asyncio.wait_for(serving, 5)
        assert sockets._open == 0
        assert not studio.events._listeners

    asyncio.run(served())


def test_what_is_kept_is_bounded() -> None:
    dropped: list[bytes] = []
    kept = Kept(10, len, dropped.append)
    for value in (b"aaaa", b"bbbb"):
        kept.put(value, value)
    assert kept.get(b"aaaa") == b"aaaa"
    kept.put(b"cccc", b"cccc")
    assert dropped == [b"bbbb"]
    kept.put(b"large", b"x" * 100)
    assert kept.get(b"large")
    assert kept.get(b"aaaa") is None
    assert kept.made("new", lambda: b"n") == kept.made("new", lambda: b"other") == b"n"


def test_ports() -> None:
    with bound_socket(0) as taken:
        host, port = taken.getsockname()
        assert host == "127.0.0.1"
        with pytest.raises(GrainError, match=f"G720.*{port}"):
            bound_socket(port)


@pytest.mark.skipif(os.name != "posix", reason="other systems free the port at once")
def test_a_studio_starts_again_where_its_page_waits() -> None:
    with bound_socket(0) as listening:
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            listening.accept()[0].close()  # who closes first holds the port for a minute
    with bound_socket(port) as again:
        assert again.getsockname()[1] == port


def test_the_next_free_port_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as first:
        first.bind(("127.0.0.1", 0))
        first.listen()
        monkeypatch.setattr(server, "PORT", first.getsockname()[1])
        with bound_socket(None) as second:
            assert second.getsockname()[1] > server.PORT


@pytest.fixture
def studio(grain: Grain, monkeypatch: pytest.MonkeyPatch) -> Grain:
    monkeypatch.setitem(_extensions(), "studio", "grainspec_runtime.commands.studio:studio")
    return grain


def test_a_missing_package_is_named(studio: Grain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    said = studio("studio", "edit.grain")
    assert said.code == 1
    assert "G501" in said.err
    assert "pip install 'grainspec[studio]'" in said.err


@pytest.mark.parametrize(
    ("name", "code"), [("none.grain", "G311"), ("edit.json", "G311"), ("none.mp4", "G301")]
)
def test_what_cannot_be_opened_is_said(studio: Grain, tmp_path: Path, name: str, code: str) -> None:
    (tmp_path / "edit.json").write_text("{}")
    said = studio("studio", tmp_path / name, "--no-browser")
    assert (said.code, code in said.err) == (1, True)


def test_a_clip_is_opened_by_its_first_spec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(EXAMPLES / "clips" / "two_men.mp4", tmp_path / "walk.mp4")
    folder, spec = _opened(tmp_path / "walk.mp4")
    assert (folder, spec) == (tmp_path, tmp_path / "walk.grain")
    assert spec is not None
    assert 'video "walk.mp4"' in spec.read_text()
    spec.write_text("# mine")
    assert _opened(tmp_path / "walk.mp4") == (folder, spec)
    assert spec.read_text() == "# mine"
    monkeypatch.chdir(tmp_path)
    assert Studio(*_opened(None)).readable.folder == tmp_path


def test_the_browser_is_opened_with_a_token_that_works_once(
    studio: Grain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "edit.grain").write_text("grain 1")
    opened: list[str] = []
    monkeypatch.setattr(server.webbrowser, "open", opened.append)
    monkeypatch.setattr(server.uvicorn.Server, "run", lambda *_, **__: None)
    said = studio("studio", tmp_path / "edit.grain", "--port", "0")
    assert said.code == 0
    [address] = opened
    assert address.startswith("http://127.0.0.1:")
    assert address.partition("token=")[2] not in said.out
    opened.clear()
    studio("studio", tmp_path / "edit.grain", "--port", "0", "--no-browser")
    assert opened == []

"""What the studio reads and writes: nothing outside its folder, and nothing without bounds."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from starlette.requests import Request
from starlette.testclient import WebSocketTestSession
from studio import Page, copied_examples, listing, mask_png, opened

from grainspec import GrainError, check, load
from grainspec_runtime.studio import bodies, starting
from grainspec_runtime.studio.bodies import pieces
from grainspec_runtime.studio.open_spec import OpenSpec
from grainspec_runtime.studio.readable import Readable


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with opened(copied_examples(tmp_path / "edits"), "instance.grain") as page:
        yield page


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A clip and a mask beside the folder that is served."""
    place = tmp_path / "secret"
    place.mkdir()
    shutil.copy(tmp_path / "edits" / "clips" / "two_men.mp4", place / "clip.mp4")
    shutil.copytree(tmp_path / "edits" / "masks" / "two_men" / "left", place / "masks")
    return place


# --- paths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        *("../secret/clip.mp4", "clips/../../secret/clip.mp4", "/etc/passwd", "~/.ssh/id_rsa"),
        *("..", ".", "", "clips//two_men.mp4", "clips/./two_men.mp4", ".hidden/clip.mp4"),
        *("..%2fsecret/clip.mp4", "clips\\two_men.mp4", "clips/two_men.mp4\0.png", "C:/clip.mp4"),
        *("link.mp4", "linked/clip.mp4", "loop", "clips/..%00/x", "file:///etc/passwd"),
    ],
)
def test_no_path_leads_out_of_the_folder(page: Page, secret: Path, path: str) -> None:
    (page.folder / "link.mp4").symlink_to(secret / "clip.mp4")
    (page.folder / "linked").symlink_to(secret)
    (page.folder / "loop").symlink_to(page.folder / "loop")
    before = listing(page.folder.parent)
    answer = page.client.get("/api/clip/frames/0", params={"path": path})
    assert (answer.status_code, answer.json()["code"]) in [(403, "G723"), (404, "G727")]
    made = page.client.post("/api/new", json={"clip": path})
    assert made.status_code in (403, 404)
    run = page.client.get(f"/api/runs/{path}/report".replace("\0", "%00"))
    assert run.status_code in (403, 404)
    assert listing(page.folder.parent) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("clips/two_men.mp4", "../secret/clip.mp4"),
        ("clips/two_men.mp4", "{secret}/clip.mp4"),
        ("clips/two_men.mp4", "link.mp4"),
        ("masks/two_men/left", "../secret/masks"),
        ("masks/two_men/left", "{secret}/masks/*.png"),
        ("masks/two_men/left", "linked"),
        ("masks/two_men/left", "linked/*.png"),
        ("masks/two_men/left", "own"),
    ],
)
def test_a_text_shows_no_pixels_of_other_folders(
    page: Page, secret: Path, old: str, new: str
) -> None:
    (page.folder / "link.mp4").symlink_to(secret / "clip.mp4")
    (page.folder / "linked").symlink_to(secret / "masks")
    shutil.copytree(page.folder / "masks" / "two_men" / "left", page.folder / "own")
    first = min((page.folder / "own").iterdir())
    first.unlink()
    first.symlink_to(secret / "masks" / first.name)
    text = page.text.replace(old, new.format(secret=secret))
    assert text != page.text
    for path, more in (
        ("regions", {"frame": 0}),
        ("clip", {}),
        ("plan", {}),
        ("jobs", {"kind": "run"}),
    ):
        assert page.post(path, 403, text=text, **more)["code"] == "G723"


def test_folders_can_be_allowed(tmp_path: Path) -> None:
    folder = copied_examples(tmp_path / "edits")
    shutil.move(folder / "clips", tmp_path / "clips")
    text = (folder / "instance.grain").read_text().replace("clips/", "../clips/")
    (folder / "instance.grain").write_text(text)
    with opened(folder, "instance.grain", also=(tmp_path / "clips",)) as page:
        clip = page.get("clip")
        assert clip["path"] == "../clips/two_men.mp4"
        assert (
            page.client.get("/api/clip/frames/0", params={"path": clip["path"]}).status_code == 200
        )
        for other in ("../clips/../edits2/x.mp4", "/etc/passwd", "../clips/\0"):
            answer = page.client.get("/api/clip/frames/0", params={"path": other})
            assert answer.status_code == 403


def test_the_language_server_reads_below_the_folder_only(page: Page, secret: Path) -> None:
    readable = page.studio.readable
    inside = page.folder / "instance.grain"
    assert readable.path_of(inside.as_uri()) == inside
    assert readable.path_of((secret / "x.grain").as_uri()) is None
    assert readable.path_of(f"{page.folder.as_uri()}/../secret/x.grain") is None
    assert readable.path_of("file:///x%00y") is None
    assert readable.path_of(page.folder.as_uri()) is None  # its paths would start beside it
    (secret / "x.grain").symlink_to(inside)
    assert readable.path_of((secret / "x.grain").as_uri()) is None


def asked(language: WebSocketTestSession, method: str, **params: Any) -> Any:
    """The language server's answer to a request; what it tells before is left out."""
    language.send_json({"jsonrpc": "2.0", "id": method, "method": method, "params": params})
    while (answer := language.receive_json()).get("id") != method:
        pass
    return answer


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("clips/two_men.mp4", "../secret/clip.mp4"),
        ("masks/two_men/left", "../secret/masks"),
        ("masks/two_men/left", "../secret/masks/*.png"),
    ],
)
def test_the_language_server_shows_no_pixels_of_other_folders(
    page: Page, secret: Path, old: str, new: str
) -> None:
    uri, text = (page.folder / "instance.grain").as_uri(), page.text.replace(old, new)
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("region left"))
    video = next(i for i, line in enumerate(lines) if line.startswith("video"))
    document, shown = {"uri": uri}, {"start": {"line": 0, "character": 0}}
    shown["end"] = {"line": len(lines), "character": 0}
    with page.socket("language") as language:
        asked(language, "initialize", processId=None, rootUri=None, capabilities={})
        item = {**document, "languageId": "grain", "version": 1, "text": text}
        note = {"method": "textDocument/didOpen", "params": {"textDocument": item}}
        language.send_json({"jsonrpc": "2.0", **note})
        for line, column in ((at, 8), (video, 12)):
            position = {"line": line, "character": column}
            answer = asked(language, "textDocument/hover", textDocument=document, position=position)
            told = answer["result"]["contents"]["value"]
            assert "data:image" not in told
            assert "of frame" not in told
            assert ("192" in told) == (line == video and old.startswith("masks"))
        found: list[Any] = []
        while "G723" not in [one["code"] for one in found]:  # what the checks of files find
            told = language.receive_json()
            if told.get("method") == "textDocument/publishDiagnostics":
                found = told["params"]["diagnostics"]
        answer = asked(language, "textDocument/inlayHint", textDocument=document, range=shown)
        assert not [hint for hint in answer["result"] if hint["label"].endswith("%")]
        clip = {"clip": str(secret / "clip.mp4")}
        assert "error" in asked(language, "grain/newSpec", **clip)


@pytest.mark.parametrize("kind", ["run", "track"])
@pytest.mark.parametrize("place", ["../secret/clip.mp4", "{secret}/clip.mp4", "link.mp4"])
def test_a_value_that_is_set_shows_no_pixels_of_other_folders(
    page: Page, secret: Path, kind: str, place: str
) -> None:
    (page.folder / "link.mp4").symlink_to(secret / "clip.mp4")
    sets = ["sampler.steps=2", f"video.path={place.format(secret=secret)}"]
    assert page.post("jobs", 403, kind=kind, text=page.text, sets=sets)["code"] == "G723"
    wrong = page.post("jobs", 422, kind=kind, text=page.text, sets=["sampler.step=2"])
    assert wrong["code"] == "G201"
    assert page.get("jobs")["jobs"] == []


@pytest.mark.parametrize(
    "glob", ["m/a/*.png", "m/*/*.png", "m/?/0000*.png", "m/**/*.png", "*/a/*.png", "m/*/in/*.png"]
)
def test_a_glob_shows_no_pixels_of_other_folders(page: Page, secret: Path, glob: str) -> None:
    for folder in ("a", "a/in"):
        (page.folder / "m" / folder).mkdir(parents=True)
        for mask in (secret / "masks").iterdir():
            (page.folder / "m" / folder / mask.name).symlink_to(mask)
    text = page.text.replace("masks/two_men/left", glob)
    assert page.post("regions", 403, text=text, frame=0)["code"] == "G723"


def test_a_glob_shows_masks_beside_links_that_it_leaves_out(page: Page, secret: Path) -> None:
    (page.folder / "out").symlink_to(secret)
    text = page.text.replace("masks/two_men/left", "*/two_men/left/*.png")
    assert page.post("regions", text=text, frame=0)["regions"]


@pytest.mark.parametrize("linked", ["", "00000.png", "alpha", "alpha/7/00000.png"])
def test_tracked_masks_are_of_the_folder_too(page: Page, tmp_path: Path, linked: str) -> None:
    own, text = page.folder / "masks/tracked/instance", (page.folder / "tracked.grain").read_text()
    shutil.copytree(page.folder / "masks/tracked/tracked", own)
    (own / "alpha" / "7").mkdir(parents=True)
    (own / "alpha" / "7" / "00000.png").touch()
    outside = shutil.move(own / linked, tmp_path / "outside")
    (own / linked).symlink_to(outside)
    assert page.post("regions", 403, text=text, frame=0)["code"] == "G723"


def test_control_images_are_of_the_folder_too(page: Page, secret: Path) -> None:
    text = f'{page.text}\ncontrol depth {{ clip "../secret/clip.mp4" }}\n'
    assert page.post("jobs", 403, kind="run", text=text)["code"] == "G723"


def test_clips_of_other_folders_are_not_listed(page: Page, secret: Path) -> None:
    before = page.get("clips")
    (page.folder / "link.mp4").symlink_to(secret / "clip.mp4")
    (page.folder / "linked").symlink_to(secret)
    (page.folder / "clips" / "link.mp4").symlink_to(secret / "clip.mp4")
    assert page.get("clips") == before


def test_an_earlier_run_names_no_other_clip(page: Page, secret: Path) -> None:
    run = page.folder / "runs" / "foreign"
    run.mkdir(parents=True)
    spec = load(page.folder / "instance.grain").model_dump(mode="json", by_alias=True)
    spec["video"]["path"] = "clip.mp4"
    clip = {"frames": [0], "edited_size": [96, 96], "width": 192, "height": 192, "fps": 8}
    manifest = {"spec": spec, "base": str(secret), "clip": clip, "seconds": "no", "warnings": 3}
    (run / "run.json").write_text(json.dumps(manifest))
    [shown] = page.get("runs")["runs"]
    assert (shown["name"], shown["complete"], shown["warnings"]) == ("foreign", False, [])
    assert page.get("runs/foreign/frames/0?of=source", 403)["code"] == "G723"
    assert page.get("runs/foreign/report", 404)["code"] == "G727"
    (run / "report.html").symlink_to("/etc/passwd")
    assert page.get("runs/foreign/report", 403)["code"] == "G723"


# --- the spec's file ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "text", "after"),
    [
        ("a\nb\n", "a\nc\n", "a\nc\n"),
        ("a\r\nb\r\n", "a\nb\nc", "a\r\nb\r\nc"),
        ("\ufeffa\nb\n", "a\nc\n", "\ufeffa\nc\n"),
        ("a\nb\r\nc\nd\n", "a\nB\nc\nd\n", "a\nB\r\nc\nd\n"),
        ("a\nb\r\nc\nd\n", "a\nx\nb\nc\nd\ne\n", "a\nx\nb\r\nc\nd\ne\n"),
        ("a\nb\r\nc\nd\r", "b\nc\nd\n", "b\r\nc\nd\r"),
        ("a\na\r\na", "a\na\na\na", "a\na\r\na\na"),
        ("a\r\nb\nc\n", "", ""),
        ("", "a\nb", "a\nb"),
    ],
)
def test_saving_changes_only_the_lines_that_were_changed(
    tmp_path: Path, before: str, text: str, after: str
) -> None:
    spec = OpenSpec(tmp_path / "a.grain")
    spec.path.write_bytes(before.encode())
    spec.write(text, spec.version())
    assert spec.path.read_bytes().decode() == after


def test_a_clip_is_opened_with_a_spec_of_its_own(tmp_path: Path) -> None:
    folder = copied_examples(tmp_path)
    for name, source in (("a.mp4", "two_men"), ("a.mov", "three_walkers")):
        shutil.copy(folder / "clips" / f"{source}.mp4", folder / name)
    for _ in range(2):
        for clip, spec in (("a.mp4", "a.grain"), ("a.mov", "a-2.grain")):
            found = starting.spec_beside(folder / clip, folder)
            assert (found.name, load(found).video.path) == (spec, clip)
    (folder / "a.grain").write_text("grain 1\nvideo")
    assert starting.spec_beside(folder / "a.mp4", folder).name == "a.grain"


# --- bodies --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"\xff", b'{"text": 1, "frame": 0}', b'{"text": "x"}',
        b'{"text": "x", "frame": -1}', b'{"text": "x", "frame": 1e9}', b'{"text": "x", "frame": NaN}',
        b'{"text": "x", "frame": 0, "more": 0}', b'{"text": "x", "frame": true}',
        b"[" * 100_000, b'{"a":' * 100_000, b"9" * 100_000, b"[" + b"{}," * 3_000_000 + b"{}]",
    ],
)  # fmt: skip
def test_bodies_are_checked(page: Page, content: bytes) -> None:
    answer = page.client.post(
        "/api/regions", content=content, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) in [(400, "G724"), (413, "G725")]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_bodies_that_a_form_can_send_are_refused(page: Page, kind: str) -> None:
    answer = page.client.post("/api/jobs", content=b"{}", headers={"content-type": kind})
    assert (answer.status_code, answer.json()["code"]) == (400, "G724")


def test_bodies_are_bounded(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MAX_BODY_BYTES", 1000)
    assert page.post("regions", 413, text="x" * 1000, frame=0)["code"] == "G725"

    def stream() -> Iterator[bytes]:  # without a stated length
        yield from [b'{"text": "', *[b"x" * 100] * 100, b'"}']

    headers = {"content-type": "application/json"}
    answer = page.client.post("/api/regions", content=stream(), headers=headers)
    assert answer.status_code == 413


def test_texts_are_bounded(page: Page) -> None:
    assert page.post("regions", 400, text="x" * 2_000_001, frame=0)["code"] == "G724"


@pytest.mark.parametrize("stated", ["-1", "1e3", "x", "9" * 30])
def test_wrong_lengths_are_refused(stated: str) -> None:
    scope = {"type": "http", "method": "POST", "headers": [(b"content-length", stated.encode())]}

    async def read() -> None:
        async for _ in pieces(Request(scope), 100):
            pass

    with pytest.raises(GrainError, match="G725"):
        asyncio.run(read())


def test_a_slow_client_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "SECONDS_TO_WAIT", 0.05)

    async def receive() -> dict[str, object]:
        await asyncio.sleep(10)
        raise AssertionError

    async def read() -> None:
        async for _ in pieces(Request({"type": "http", "headers": []}, receive), 100):
            pass

    with pytest.raises(GrainError, match="G724"):
        asyncio.run(read())


# --- the spec's file -----------------------------------------------------------------------------


def test_the_spec_is_saved_if_nobody_else_changed_it(page: Page) -> None:
    spec = page.get("spec")
    text, named = spec["text"].replace("steps 30", "steps 20"), {"path": spec["path"]}
    saved = page.asked("PUT", "spec", json={**named, "text": text, "version": spec["version"]})
    assert (page.folder / "instance.grain").read_text() == text
    assert page.get("spec") == {**spec, "text": text, "version": saved["version"]}
    again = {**named, "text": "grain 1", "version": spec["version"]}
    assert page.asked("PUT", "spec", 409, json=again)["code"] == "G726"
    assert page.text == text
    assert not list(page.folder.glob(".*"))


def _saved(spec: dict[str, str]) -> dict[str, str]:
    """What a page sends that saves the spec as it is."""
    return {name: spec[name] for name in ("path", "text", "version")}


def test_a_text_is_not_saved_over_another_spec(page: Page) -> None:
    mine = page.get("spec")
    with page.socket("events") as events:
        other = page.post("new", 201, clip="clips/two_men.mp4")
        told = events.receive_json()
    assert told["spec"] == {"path": other["path"], "version": other["version"]}
    assert other["path"] != mine["path"]
    unsaved = {**_saved(mine), "text": mine["text"] + "# mine\n"}
    for version in (mine["version"], other["version"]):
        refused = page.asked("PUT", "spec", 409, json={**unsaved, "version": version})
        assert refused["code"] == "G726"
    ok = {"text": mine["text"], "path": mine["path"]}
    assert page.post("jobs", 409, kind="run", **ok)["code"] == "G726"
    painted = page.post("masks", 409, region="left", frame=0, png=mask_png(), path=mine["path"])
    assert painted["code"] == "G726"
    assert (page.folder / other["path"]).read_text() == other["text"]
    assert (page.folder / mine["path"]).read_text() == mine["text"]

    assert page.post("open", path=mine["path"]) == mine
    page.asked("PUT", "spec", json=unsaved)
    assert page.text == unsaved["text"]
    assert (page.folder / other["path"]).read_text() == other["text"]


def test_any_spec_of_the_folder_can_be_opened(page: Page) -> None:
    outside = page.folder.parent / "outside.grain"
    outside.write_text("grain 1\n")
    (page.folder / "link.grain").symlink_to(outside)
    (page.folder / "sub").mkdir()
    (page.folder / "sub" / "deep.grain").write_text("grain 1\n")
    (page.folder / "folder.grain").mkdir()
    assert page.get("specs") == {"specs": ["instance.grain", "tracked.grain"]}
    for path in ("clips/two_men.mp4", "sub/deep.grain", "folder.grain", "none.grain"):
        assert page.post("open", 404, path=path)["code"] == "G727"
    for path in ("../outside.grain", "./instance.grain", "link.grain", str(outside), ""):
        assert page.post("open", 403, path=path)["code"] == "G723"
    assert page.get("spec")["path"] == "instance.grain"
    opened = page.post("open", path="tracked.grain")
    assert opened == page.get("spec")
    assert opened["text"] == (page.folder / "tracked.grain").read_text()
    assert page.post("open", path="instance.grain")["path"] == "instance.grain"


def test_line_ends_and_permissions_stay(page: Page) -> None:
    path = page.folder / "instance.grain"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    path.chmod(0o640)
    spec = page.get("spec")
    assert "\r" not in spec["text"]
    text = spec["text"] + "# end\n"
    page.asked("PUT", "spec", json={**_saved(spec), "text": text})
    assert path.read_bytes().endswith(b"}\r\n# end\r\n")
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("other", [None, "renamed.grain"])
def test_a_file_that_is_gone_is_written_anew(page: Page, other: str | None) -> None:
    spec, path = page.get("spec"), page.folder / "instance.grain"
    path.rename(page.folder / other) if other else path.unlink()
    assert page.get("spec", 404)["code"] == "G727"
    text = spec["text"] + "# more\n"
    saved = page.asked("PUT", "spec", json={**_saved(spec), "text": text})
    assert saved == {"version": page.get("spec")["version"], "gone": True}
    assert path.read_text() == text
    if other:
        assert (page.folder / other).read_text() == spec["text"]
    known = {**_saved(spec), "version": saved["version"], "text": text}
    again = page.asked("PUT", "spec", json=known)
    assert again["gone"] is False


def test_half_a_character_is_not_saved(page: Page) -> None:
    spec = page.get("spec")
    content = json.dumps({**_saved(spec), "text": "\ud800"}).encode()
    headers = {"content-type": "application/json"}
    answer = page.client.put("/api/spec", content=content, headers=headers)
    assert answer.status_code == 400
    assert page.text == spec["text"]


# --- from a clip ---------------------------------------------------------------------------------


def test_a_clip_of_the_folder_becomes_a_spec(tmp_path: Path) -> None:
    with opened(copied_examples(tmp_path), None) as page:
        assert page.get("spec", 404)["code"] == "G730"
        assert "clips/two_men.mp4" in page.get("clips")["clips"]
        made = page.post("new", 201, clip="clips/two_men.mp4")
        assert (made["path"], made["clip"]) == ("two_men.grain", "clips/two_men.mp4")
        assert made["text"] == (tmp_path / "two_men.grain").read_text() == page.text
        assert not any(found.is_error for found in check(load(tmp_path / "two_men.grain")))
        assert page.post("new", 201, clip="clips/two_men.mp4")["path"] == "two_men-2.grain"


def test_an_upload_is_stored_under_a_free_name(page: Page) -> None:
    content = (page.folder / "clips" / "two_men.mp4").read_bytes()
    for number, name in enumerate(
        ("my clip.mp4", "../../my clip.mp4", "/etc/my clip.mp4"), start=1
    ):
        made = page.asked("POST", "new", 201, params={"name": name}, content=content)
        assert made["clip"] == f"my clip{f'-{number}' * (number > 1)}.mp4"
        assert (page.folder / made["clip"]).read_bytes() == content
    assert not list(page.folder.parent.rglob(".*"))
    assert [path.name for path in page.folder.parent.iterdir()] == ["edits"]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("clip.mp4", b"", "G302"),
        ("clip.mp4", b"#!/bin/sh\n" * 100, "G302"),
        ("clip.mp4", b"#EXTM3U\nhttp://evil.example/x.ts\n", "G302"),
        ("clip.png", b"\x89PNG\r\n\x1a\n", "G302"),
        ("clip.grain", b"grain 1", "G724"),
        ("run.sh", b"echo", "G724"),
        ("", b"x", "G724"),
        (".mp4", b"x", "G724"),
        ("x\0.mp4", b"", "G302"),
    ],
)
def test_uploads_that_are_no_clip_leave_nothing(
    page: Page, name: str, content: bytes, code: str
) -> None:
    before = listing(page.folder)
    answer = page.client.post("/api/new", params={"name": name}, content=content)
    assert answer.json()["code"] == code, answer.text
    assert ".part" not in answer.text
    assert listing(page.folder) == before
    assert page.get("spec")["path"] == "instance.grain"


def test_uploads_are_bounded(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    before = listing(page.folder)
    from grainspec_runtime.studio import routes

    monkeypatch.setattr(routes, "MAX_UPLOAD_BYTES", 1000)
    for content in (b"x" * 1001, iter([b"x" * 600] * 2)):
        answer = page.client.post("/api/new", params={"name": "a.mp4"}, content=content)
        assert (answer.status_code, answer.json()["code"]) == (413, "G725")
    monkeypatch.setattr(starting, "_ROOM", 1 << 60)
    assert page.asked("POST", "new", 413, params={"name": "a.mp4"}, content=b"x")["code"] == "G725"
    monkeypatch.setattr(starting, "MAX_UPLOADS", page.studio.uploads.count)
    assert page.asked("POST", "new", 429, params={"name": "a.mp4"}, content=b"x")["code"] == "G728"
    assert listing(page.folder) == before


def test_one_upload_at_a_time_and_an_interrupted_one_leaves_nothing(page: Page) -> None:
    uploads, before = page.studio.uploads, listing(page.folder)
    begun, go_on = threading.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"x"
        begun.set()
        await go_on.wait()

    async def both() -> None:
        first = asyncio.create_task(uploads.store("a.mp4", 0, slow()))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        with pytest.raises(GrainError, match="G728"):
            await uploads.store("b.mp4", 0, slow())
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first

    asyncio.run(both())
    assert listing(page.folder) == before


@pytest.mark.skipif(os.name == "nt", reason="no such links")
def test_a_folder_that_is_itself_a_link_is_served(tmp_path: Path) -> None:
    folder = copied_examples(tmp_path / "edits")
    (tmp_path / "link").symlink_to(folder)
    readable = Readable((tmp_path / "link").resolve())
    readable.require(tmp_path / "link" / "clips" / "two_men.mp4")

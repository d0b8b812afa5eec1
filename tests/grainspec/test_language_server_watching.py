"""Findings about files follow the files: tracked, painted or replaced by another program."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from clips import EXAMPLES

pytest.importorskip("pygls")
pytest.importorskip("pytest_lsp")

import pytest_lsp
from lsprotocol import types
from pytest_lsp import ClientServerConfig, LanguageClient, client_capabilities
from pytest_lsp.client import make_test_lsp_client

from grainspec.analysis.dependencies import Place, dependencies, state_of
from grainspec.analysis.document import Document
from grainspec.language_server.watching import Watched, Watching, watchers
from grainspec.language_server.worker import Worker

COMMAND = [sys.executable, "-m", "grainspec", "language-server"]
TRACKED = Path("masks", "tracked", "tracked")


def watched(client: LanguageClient) -> set[tuple[Path, str]]:
    """The folders and patterns that the client was asked to watch, and not asked to forget."""
    return {
        (Path(path_of(watcher.glob_pattern.base_uri)), watcher.glob_pattern.pattern)
        for registered in client.registered.values()
        for watcher in registered
    }


def path_of(uri: Any) -> str:
    return str(uri).removeprefix("file://")


def watching_client() -> LanguageClient:
    """A client that keeps what it is asked to watch."""
    made = make_test_lsp_client()
    made.registered = {}

    @made.feature(types.CLIENT_REGISTER_CAPABILITY)
    def register(params: types.RegistrationParams) -> None:
        for one in params.registrations:
            options = made.protocol._converter.structure(
                one.register_options, types.DidChangeWatchedFilesRegistrationOptions
            )
            made.registered[one.id] = options.watchers

    @made.feature(types.CLIENT_UNREGISTER_CAPABILITY)
    def unregister(params: types.UnregistrationParams) -> None:
        for one in params.unregisterations:
            del made.registered[one.id]

    return made


async def started(lsp_client: LanguageClient, *, watches: bool) -> AsyncIterator[None]:
    capabilities = client_capabilities("visual-studio-code")
    capabilities.workspace.did_change_watched_files = types.DidChangeWatchedFilesClientCapabilities(
        watches, relative_pattern_support=watches
    )
    await lsp_client.initialize_session(types.InitializeParams(capabilities=capabilities))
    yield
    await lsp_client.shutdown_session()


CONFIG = ClientServerConfig(server_command=COMMAND, client_factory=watching_client)


@pytest_lsp.fixture(config=CONFIG)
async def client(lsp_client: LanguageClient):
    async for _ in started(lsp_client, watches=True):
        yield


@pytest_lsp.fixture(config=CONFIG)
async def plain_client(lsp_client: LanguageClient):
    async for _ in started(lsp_client, watches=False):
        yield


def untracked(folder: Path) -> str:
    """Copy an example without its tracked masks, and return its URI."""
    (folder / "clips").mkdir()
    shutil.copy(EXAMPLES / "clips/three_walkers.mp4", folder / "clips")
    shutil.copy(EXAMPLES / "tracked.grain", folder)
    return (folder / "tracked.grain").as_uri()


def track(folder: Path) -> None:
    """Put the masks there, as another program does."""
    shutil.copytree(EXAMPLES / TRACKED, folder / TRACKED)


async def until(client: LanguageClient, uri: str, codes: list[str], seconds: float = 8) -> None:
    """Wait for findings with these codes."""
    end = asyncio.get_running_loop().time() + seconds
    while uri not in client.diagnostics or [one.code for one in client.diagnostics[uri]] != codes:
        assert asyncio.get_running_loop().time() < end, client.diagnostics.get(uri)
        await asyncio.sleep(0.02)


def opened(client: LanguageClient, folder: Path, uri: str) -> None:
    text = (folder / "tracked.grain").read_text(encoding="utf-8")
    client.text_document_did_open(
        types.DidOpenTextDocumentParams(types.TextDocumentItem(uri, "grain", 1, text))
    )


@pytest.mark.asyncio
async def test_tracking_elsewhere_takes_the_finding_away(
    plain_client: LanguageClient, tmp_path: Path
) -> None:
    uri = untracked(tmp_path)
    opened(plain_client, tmp_path, uri)
    await until(plain_client, uri, ["G357"])
    track(tmp_path)
    await until(plain_client, uri, [])
    shutil.rmtree(tmp_path / TRACKED)
    await until(plain_client, uri, ["G357"])
    assert not plain_client.registered


@pytest.mark.asyncio
async def test_an_editor_that_watches_files(client: LanguageClient, tmp_path: Path) -> None:
    uri = untracked(tmp_path)
    opened(client, tmp_path, uri)
    await until(client, uri, ["G357"])
    await asyncio.sleep(1.5)  # the look after the check; the next one is ten seconds later
    names = {(tmp_path / "clips", "three_walkers.mp4"), (tmp_path, "masks"), (tmp_path, "demo")}
    assert watched(client) == names
    track(tmp_path)
    event = types.FileEvent((tmp_path / "masks").as_uri(), types.FileChangeType.Created)
    client.workspace_did_change_watched_files(types.DidChangeWatchedFilesParams([event]))
    await until(client, uri, [], seconds=6)
    folder = tmp_path / TRACKED
    assert {(folder.parent, "tracked"), (folder, "**/*")} < watched(client)
    assert len(client.registered) == 1


# --- what is watched -----------------------------------------------------------------------------

SPEC = """\
grain 1
video "clip" { frames 0..3 }
model "models/own"
tracker sam2 { weights "weights/sam" }
target "a robot"
region a = masks("a/*.png") | masks("d/*/*.png") | masks("b") | track(masks("c.png") @ 0)
control depth { clip "depth.mp4" }
edit a ->
"""


def test_dependencies_of_a_text_with_errors() -> None:
    document = Document(SPEC, Path("/x/edit.grain"))
    assert document.spec is None
    named = {str(place.path.relative_to("/x")): place.deep for place in dependencies(document)}
    deep = {"d", "masks/tracked/edit"}
    plain = {"a", "clip", "b", "c.png", "depth.mp4", "models/own", "weights/sam"}
    assert named == {**dict.fromkeys(deep, True), **dict.fromkeys(plain, False)}
    assert dependencies(Document(SPEC, None)) == ()
    assert dependencies(Document("grain 1", Path("/x/a.grain"))) == (Place(Path("/x/demo")),)


def test_the_state_of_files(tmp_path: Path) -> None:
    places = [Place(tmp_path / "a.txt"), Place(tmp_path / "in"), Place(tmp_path / "deep", True)]

    def changed(do: Callable[[], Any]) -> bool:
        before = state_of(places)
        do()
        return state_of(places) != before

    assert not changed(lambda: None)
    assert changed(lambda: (tmp_path / "a.txt").write_text("a"))
    assert changed(lambda: (tmp_path / "a.txt").write_text("ab"))
    assert changed(lambda: (tmp_path / "in" / "below").mkdir(parents=True))
    assert not changed(lambda: (tmp_path / "other").write_text("a"))
    assert changed(lambda: (tmp_path / "deep" / "below").mkdir(parents=True))
    assert changed(lambda: (tmp_path / "deep/below/x").write_text("a"))
    assert changed(lambda: (tmp_path / "deep/below/x").unlink())


def test_patterns_lead_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    places = [
        Place(tmp_path / "new/below/it"),
        Place(tmp_path / "deep", True),
        Place(tmp_path / "a[b].mp4"),
        Place(Path("/"), True),
    ]
    found = [
        (path_of(one.glob_pattern.base_uri), one.glob_pattern.pattern) for one in watchers(places)
    ]
    base = str(tmp_path)
    own = [(base, "new"), (base, "deep"), (f"{base}/deep", "**/*"), (base, "*")]
    assert found == [*own, ("/", "*")]


@pytest.mark.asyncio
async def test_what_changes_during_a_check_is_noticed(tmp_path: Path) -> None:
    worker, changed = Worker(), asyncio.Event()
    watching = Watching(worker, lambda uri: changed.set(), lambda found: None)
    places = (Place(tmp_path),)
    watching.keep("a", Watched(places, state_of(places)))
    (tmp_path / "new").write_text("")
    await asyncio.wait_for(changed.wait(), 5)
    watching.forget("a")
    worker.end()

"""The language server as editors use it: the real process, every request."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("pygls")
pytest.importorskip("pytest_lsp")

import pytest_lsp
from lsprotocol import types
from pytest_lsp import ClientServerConfig, LanguageClient

COMMAND = [sys.executable, "-m", "grainspec", "language-server"]


@pytest_lsp.fixture(config=ClientServerConfig(server_command=COMMAND))
async def client(lsp_client: LanguageClient):
    await lsp_client.initialize_session(
        types.InitializeParams(capabilities=types.ClientCapabilities())
    )
    yield
    await lsp_client.shutdown_session()


def opened(client: LanguageClient, text: str, uri: str = "untitled:Untitled-1") -> str:
    item = types.TextDocumentItem(uri, "grain", 1, text)
    client.text_document_did_open(types.DidOpenTextDocumentParams(item))
    return uri


@pytest.mark.asyncio
async def test_findings(client: LanguageClient) -> None:
    uri = opened(client, 'grain 1\nvideo "c.mp4"\ntarget "a 🐻 bear"\nedit al -> "bear"')
    await client.wait_for_notification(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
    print(client.diagnostics[uri])
    assert [one.code for one in client.diagnostics[uri]] == ["G101"]

"""The protocol's handler: documents are those of the session, positions are in UTF-16."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, cast

from lsprotocol import types
from pygls.protocol import LanguageServerProtocol, lsp_method

if TYPE_CHECKING:
    from grainspec.language_server.session import Session


class GrainProtocol(LanguageServerProtocol):
    """pygls' protocol without its own copies of the documents.

    Those split lines at more characters than the protocol does, so edits would go astray.
    """

    ends_process = True
    """Whether `exit` ends the process; elsewhere it ends the connection."""
    exited = False
    """Whether the client said `exit`."""

    def session(self) -> Session:
        """The server's open documents."""
        return cast("Session", self._server.session)  # type: ignore[attr-defined]

    @lsp_method(types.INITIALIZE)
    def lsp_initialize(
        self, params: types.InitializeParams
    ) -> Generator[Any, Any, types.InitializeResult]:
        """Initialize the server; its positions are in UTF-16, which every client knows."""
        if params.capabilities.general is not None:
            params.capabilities.general.position_encodings = None
        self.session().snippets = _takes_snippets(params.capabilities.text_document)
        self.session().watching.asks = _watches_files(params.capabilities.workspace)
        return (yield from super().lsp_initialize(params))

    @lsp_method(types.EXIT)
    def lsp_exit(self, *args: Any) -> Generator[Any, Any, None]:
        """End the connection, and the process if it has no other."""
        self.exited = True
        if self.ends_process:
            yield from super().lsp_exit(*args)
        elif self.writer is not None:
            self.writer.close()

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: types.DidOpenTextDocumentParams) -> None:
        """Take a document in."""
        opened = params.text_document
        self.session().open(opened.uri, opened.version, opened.text)

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> None:
        """Make changes in a document."""
        changed = params.text_document
        self.session().change(changed.uri, changed.version, params.content_changes)

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> None:
        """Forget a document, and its findings."""
        uri = params.text_document.uri
        self.session().close(uri)
        empty = types.PublishDiagnosticsParams(uri, [])
        self.notify(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS, empty)


def _takes_snippets(text: types.TextDocumentClientCapabilities | None) -> bool:
    item = text.completion.completion_item if text and text.completion else None
    return bool(item and item.snippet_support)


def _watches_files(workspace: types.WorkspaceClientCapabilities | None) -> bool:
    """Whether the editor can be asked to watch files outside its own folders."""
    files = workspace.did_change_watched_files if workspace else None
    return bool(files and files.dynamic_registration and files.relative_pattern_support)

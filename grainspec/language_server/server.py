"""The server: which request of the protocol is answered by which function."""

from __future__ import annotations

from typing import Any

from lsprotocol import types
from pygls.lsp.server import LanguageServer

import grainspec
from grainspec.diagnostics import Diagnostic
from grainspec.language_server.convert import diagnostic
from grainspec.language_server.features import FEATURES
from grainspec.language_server.protocol import GrainProtocol
from grainspec.language_server.session import Opened, Session

MAX_FINDINGS = 200
"""Findings of one document that are published."""


class GrainServer(LanguageServer):
    """A language server for ``.grain`` files, for one editor."""

    protocol: GrainProtocol

    def __init__(self) -> None:
        super().__init__("grain", grainspec.__version__, protocol_cls=GrainProtocol, max_workers=4)
        self.session = Session(self._publish, self._refresh)

    def shutdown(self) -> None:
        """Stop all that is under way."""
        self.session.end()
        super().shutdown()  # type: ignore[no-untyped-call]

    def _publish(self, uri: str, opened: Opened, findings: list[Diagnostic]) -> None:
        shown = [diagnostic(opened.document, uri, one) for one in findings[:MAX_FINDINGS]]
        self.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(uri, shown, opened.version)
        )

    def _refresh(self) -> None:
        workspace = self.client_capabilities.workspace
        if workspace and workspace.inlay_hint and workspace.inlay_hint.refresh_support:
            self.workspace_inlay_hint_refresh(None)


def server() -> GrainServer:
    """A new server with all features."""
    made = GrainServer()
    for method, options, handler in FEATURES:
        made.feature(method, options)(_bound(handler, made))
    return made


def _bound(handler: Any, made: GrainServer) -> Any:
    """A handler of requests with the server's session."""

    def handle(params: Any) -> Any:
        return handler(made.session, params)

    return handle

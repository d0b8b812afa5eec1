"""The server: which request of the protocol is answered by which function."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer

import grainspec
from grainspec.analysis.files import Require, any_file
from grainspec.diagnostics import Diagnostic, GrainError
from grainspec.language_server.convert import diagnostic, path_of
from grainspec.language_server.features import FEATURES, Feature
from grainspec.language_server.protocol import GrainProtocol
from grainspec.language_server.session import Opened, Session

DEBUG = "GRAINSPEC_DEBUG"
"""The variable of the environment with which the server's log is printed."""
REFUSED = -32803
"""The protocol's code for a request that was understood, but cannot be met."""
MAX_FINDINGS = 200
"""Findings of one document that are published."""


class GrainServer(LanguageServer):
    """A language server for ``.grain`` files, for one editor."""

    protocol: GrainProtocol

    def __init__(
        self, path_of: Callable[[str], Path | None] = path_of, require: Require = any_file
    ) -> None:
        super().__init__("grain", grainspec.__version__, protocol_cls=GrainProtocol, max_workers=4)
        self.session = Session(self._publish, self._refresh, self._watch, path_of, require)
        self._watches = 0
        self.when_loaded: Callable[[], None] | None = None
        """Called once, after the first findings: all that they need is loaded then."""

    def shutdown(self) -> None:
        """Stop all that is under way."""
        self.session.end()
        super().shutdown()  # type: ignore[no-untyped-call]

    def _publish(self, uri: str, opened: Opened, findings: list[Diagnostic]) -> None:
        shown = [diagnostic(opened.document, uri, one) for one in findings[:MAX_FINDINGS]]
        self.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(uri, shown, opened.version)
        )
        loaded, self.when_loaded = self.when_loaded, None
        if loaded is not None:
            loaded()

    def _refresh(self) -> None:
        workspace = self.client_capabilities.workspace
        if workspace and workspace.inlay_hint and workspace.inlay_hint.refresh_support:
            self.workspace_inlay_hint_refresh(None)

    def _watch(self, watchers: list[types.FileSystemWatcher]) -> None:
        """Ask the editor to watch other files than before."""
        method, before = types.WORKSPACE_DID_CHANGE_WATCHED_FILES, self._watches
        self._watches += 1
        options = types.DidChangeWatchedFilesRegistrationOptions(watchers)
        asked = types.Registration(f"grain-files-{self._watches}", method, options)
        answer = self.client_register_capability(types.RegistrationParams([asked]))
        answer.add_done_callback(self._watching)
        if before:
            no_more = types.Unregistration(f"grain-files-{before}", method)
            self.client_unregister_capability(types.UnregistrationParams([no_more]))

    def _watching(self, answer: Future[None]) -> None:
        """Look at the files more often if the editor refused to watch them."""
        if answer.cancelled() or answer.exception() is not None:
            self.session.watching.asks = False


def server(
    path_of: Callable[[str], Path | None] = path_of, require: Require = any_file
) -> GrainServer:
    """A new server with all features.

    ``path_of`` gives the file of a document's URI; ``require`` raises GrainError for a file that a
    document must not name.
    """
    if not os.environ.get(DEBUG):  # the editor is told what is refused; nobody reads a log of it
        logging.getLogger("pygls").setLevel(logging.CRITICAL)
    made = GrainServer(path_of, require)
    for feature in FEATURES:
        answer = _answering(feature, made)
        made.feature(feature.method, feature.options)(answer)
        if feature.files:
            made.thread()(answer)
    return made


def _answering(feature: Feature, made: GrainServer) -> Callable[[Any], Any]:
    """The handler of a feature for a server's session; findings become errors of the protocol."""

    def answer(params: Any) -> Any:
        try:
            return feature.answer(made.session, params)
        except GrainError as error:
            found = [one.as_json() for one in error.diagnostics]
            raise JsonRpcException(str(error), REFUSED, {"diagnostics": found}) from error

    return answer

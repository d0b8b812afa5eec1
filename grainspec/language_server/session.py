"""The open documents of one editor, and when their findings are published."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from lsprotocol import types

from grainspec.analysis.checks import FileFacts, check_document
from grainspec.analysis.dependencies import dependencies, state_of
from grainspec.analysis.document import MAX_ANALYSED, Document
from grainspec.analysis.files import Require, any_file
from grainspec.diagnostics import Diagnostic
from grainspec.language_server.convert import offset_of, path_of
from grainspec.language_server.tokenizers import Tokenizers
from grainspec.language_server.watching import Watched, Watching
from grainspec.language_server.worker import Worker

TYPED = 0.004
"""Seconds without a change after which the findings about the text are published."""
PAUSED = 0.4
"""Seconds without a change after which files are checked."""


@dataclass(frozen=True)
class Opened:
    """A version of an open document; ``facts`` are those of its files, once they are known."""

    document: Document
    version: int | None
    facts: FileFacts | None = None


class Session:
    """The open documents, by their URIs.

    ``path_of`` gives the file of a URI, at whose folder a spec's paths start, or None if it has no
    file; ``require`` raises GrainError for a file that a text must not name. ``publish`` sends the
    findings about a version, ``refresh`` tells the editor that what it asked for may have changed,
    ``watch`` asks it to watch files. All methods are called in the event loop's thread; only the
    checks of files run in another.
    """

    def __init__(
        self,
        publish: Callable[[str, Opened, list[Diagnostic]], None],
        refresh: Callable[[], None],
        watch: Callable[[list[types.FileSystemWatcher]], None],
        path_of: Callable[[str], Path | None] = path_of,
        require: Require = any_file,
    ) -> None:
        self.path_of = path_of
        self.require = require
        self.snippets = False
        """Whether the editor takes snippets."""
        self._publish = publish
        self._refresh = refresh
        self._opened: dict[str, Opened] = {}
        self._timers: dict[tuple[str, float], asyncio.TimerHandle] = {}
        self._worker = Worker()
        self.tokenizers = Tokenizers()
        self.watching = Watching(self._worker, self._files_changed, watch)

    def get(self, uri: str) -> Document | None:
        """An open document; None if it is not open, or too long for more than findings."""
        opened = self._opened.get(uri)
        if opened is None or len(opened.document.text) > MAX_ANALYSED:
            return None
        return opened.document

    def opened(self, uri: str) -> Opened | None:
        """The current version of an open document."""
        return self._opened.get(uri)

    def findings(self, uri: str) -> list[Diagnostic]:
        """All findings that are known about the current version of a document."""
        opened = self._opened.get(uri)
        return _findings(opened) if opened else []

    # --- what the editor tells -------------------------------------------------------------------

    def open(self, uri: str, version: int | None, text: str) -> None:
        """Take a document in."""
        self._opened[uri] = Opened(self._document(uri, text), version)
        self._changed(uri)

    def change(
        self,
        uri: str,
        version: int | None,
        changes: Iterable[types.TextDocumentContentChangeEvent],
    ) -> None:
        """Make an editor's changes, in order; one without a range replaces the text."""
        opened = self._opened.get(uri)
        document = opened.document if opened else self._document(uri, "")
        for change in changes:
            if isinstance(change, types.TextDocumentContentChangePartial):
                start = offset_of(document, change.range.start)
                end = max(start, offset_of(document, change.range.end))
                document = document.edited(start, end, change.text)
            else:
                document = self._document(uri, change.text)
        self._opened[uri] = Opened(document, version)
        self._changed(uri)

    def close(self, uri: str) -> None:
        """Forget a document."""
        for pause in (TYPED, PAUSED):
            self._cancel(uri, pause)
        self._worker.cancel(uri)
        self.watching.forget(uri)
        self._opened.pop(uri, None)

    def files_changed(self) -> None:
        """Check the files of every document again: clips, masks or models may have changed."""
        for uri in list(self._opened):
            self._files_changed(uri)

    def end(self) -> None:
        """Stop what is under way."""
        for uri in list(self._opened):
            self.close(uri)
        self.watching.end()
        self.tokenizers.end()
        self._worker.end()

    # --- what follows ----------------------------------------------------------------------------

    def _document(self, uri: str, text: str) -> Document:
        return Document(text, self.path_of(uri), require=self.require)

    def _changed(self, uri: str) -> None:
        self._worker.cancel(uri)
        self._later(uri, TYPED, self._tell)
        self._later(uri, PAUSED, self._check)

    def _later(self, uri: str, pause: float, do: Callable[[str], None]) -> None:
        self._cancel(uri, pause)
        loop = asyncio.get_running_loop()
        self._timers[uri, pause] = loop.call_later(pause, do, uri)

    def _cancel(self, uri: str, pause: float) -> None:
        timer = self._timers.pop((uri, pause), None)
        if timer is not None:
            timer.cancel()

    def _tell(self, uri: str) -> None:
        opened = self._opened.get(uri)
        if opened is not None and len(opened.document.text) <= MAX_ANALYSED:
            self._publish(uri, opened, _findings(opened))

    def _files_changed(self, uri: str) -> None:
        opened = self._opened.get(uri)
        if opened is not None:
            self._opened[uri] = replace(opened, document=opened.document.again())
            self._later(uri, PAUSED, self._check)

    def _check(self, uri: str) -> None:
        """Check a document's files, and the text of a long one, without waiting for it."""
        opened = self._opened.get(uri)
        if opened is None:
            return
        loop = asyncio.get_running_loop()
        document = opened.document

        def work(cancelled: Callable[[], bool]) -> None:
            places = dependencies(document)
            watched = Watched(places, state_of(places))  # before they are read
            facts = check_document(document, cancelled)
            if facts is not None and not cancelled() and not loop.is_closed():
                loop.call_soon_threadsafe(self._checked, uri, document, facts, watched)

        self._worker.do(uri, work)

    def _checked(self, uri: str, document: Document, facts: FileFacts, watched: Watched) -> None:
        opened = self._opened.get(uri)
        if opened is None or opened.document is not document:
            return  # the findings are of an older version
        self._opened[uri] = opened = replace(opened, facts=facts)
        self.watching.keep(uri, watched)
        self._publish(uri, opened, _findings(opened))
        self._refresh()


def _findings(opened: Opened) -> list[Diagnostic]:
    """The findings about a version, each once."""
    more = opened.facts.findings if opened.facts else ()
    return list(dict.fromkeys((*opened.document.findings, *more)))

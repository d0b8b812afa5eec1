"""A spec's text in an editor, and what is known of it."""

from __future__ import annotations

import re
from pathlib import Path

from lark import Token

from grainspec.analysis.clip import clip_facts
from grainspec.analysis.files import Require, any_file, files_at, files_shown
from grainspec.analysis.frame import FirstFrame, first_frame
from grainspec.analysis.kept import kept
from grainspec.analysis.names import Named, names_in
from grainspec.analysis.positions import Utf16
from grainspec.analysis.statements import Braces, Written, written_statements
from grainspec.clip.facts import ClipFacts
from grainspec.diagnostics import Diagnostic, GrainError
from grainspec.model.spec import EditSpec
from grainspec.text.memory import NOTHING, Memory
from grainspec.text.parse import Parsed, parse_all

MAX_ANALYSED = 100_000
"""Characters of a text; of a longer one only the findings are known."""

NOT_OF_REGIONS = frozenset({"G104", "G105", "G107", "G108", "G109"})
"""Errors with which the regions can be computed nevertheless."""

_LINE_ENDS = re.compile(r"\r\n?")


class Document:
    """A text, and the file it is of, if any; immutable. All else is computed once, on demand.

    ``require`` is asked before a file that the text names is read, and raises GrainError for one
    that must not be.

    >>> document = Document('grain 1\\nvideo "c.mp4"\\nregion sky = alll', None)
    >>> [finding.code for finding in document.findings]
    ['G101', 'G008', 'G108']
    >>> document.draft.regions[0].name, document.positions.position(8)
    ('sky', (1, 0))
    """

    def __init__(
        self,
        text: str,
        path: Path | None,
        memory: Memory = NOTHING,
        require: Require = any_file,
    ) -> None:
        self.text = text
        self.path = path
        self.require = require
        self._memory = memory

    @property
    def folder(self) -> Path | None:
        """The folder at which the spec's relative paths start; None for a text of no file."""
        return self.path.parent if self.path is not None else None

    def edited(self, start: int, end: int, text: str) -> Document:
        """The document with other characters from ``start`` to before ``end``."""
        parsed = self.__dict__.get("parsed")
        memory = parsed.memory if parsed is not None else self._memory
        edited = self.text[:start] + text + self.text[end:]
        return Document(edited, self.path, memory, self.require)

    def again(self) -> Document:
        """The same document; what is known of its files may be out of date."""
        return Document(self.text, self.path, self._memory, self.require)

    def require_files(self, spec: EditSpec) -> None:
        """Raise GrainError if the document's spec shows pixels of a file that must not be read."""
        assert self.folder is not None
        for path in files_shown(spec, self.folder):
            self.require(path)

    @kept
    def positions(self) -> Utf16:
        """The conversion between offsets, spans and an editor's positions."""
        return Utf16(self.text)

    @kept
    def plain(self) -> str:
        r"""The text with ``\n`` as the only line end, and spaces for what that replaces.

        Offsets in it are those in the text.
        """
        plain = _LINE_ENDS.sub(lambda end: " \n" if len(end[0]) > 1 else "\n", self.text)
        return f" {plain[1:]}" if plain.startswith("\ufeff") else plain

    @kept
    def parsed(self) -> Parsed:
        """What could be read, and all findings about the text by itself."""
        return parse_all(self.plain, self._memory)

    @property
    def findings(self) -> tuple[Diagnostic, ...]:
        """The findings about the text by itself; those about files are in ``checks.py``."""
        return self.parsed.diagnostics

    @property
    def spec(self) -> EditSpec | None:
        """The spec, if nothing is wrong with the text."""
        return self.parsed.spec

    @property
    def draft(self) -> EditSpec | None:
        """What could be read of the spec; None if that is nothing."""
        return self.parsed.draft

    @kept
    def tokens(self) -> tuple[Token, ...]:
        """The words and signs of the language, without comments; their places are offsets."""
        return self.parsed.tokens if len(self.plain) <= MAX_ANALYSED else ()

    @property
    def statements(self) -> tuple[Written, ...]:
        """The statements, whether or not they can be parsed."""
        return self._split[0]

    @property
    def variants(self) -> tuple[Braces, ...]:
        """The braces of the variants."""
        return self._split[1]

    @kept
    def _split(self) -> tuple[tuple[Written, ...], tuple[Braces, ...]]:
        return written_statements(self.tokens, len(self.text))

    @kept
    def symbols(self) -> tuple[Named, ...]:
        """The names of regions and variants, in order, where they are defined and used."""
        return tuple(names_in(self.statements))

    @kept
    def clip(self) -> ClipFacts | None:
        """The facts of the spec's clip; None if it cannot be read. Reads files the first time."""
        draft, folder = self.draft, self.folder
        if draft is None or folder is None:
            return None
        place = folder / draft.video.path
        try:
            for path in files_at(place):
                self.require(path)
        except GrainError:
            return None
        return clip_facts(place, draft.video.fps)

    @kept
    def first_frame(self) -> FirstFrame | None:
        """The regions on the spec's first frame; None if its text or its clip is not sound.

        Reads files the first time.
        """
        spec, folder = self.draft, self.folder
        wrong = {finding.code for finding in self.findings if finding.is_error}
        if spec is None or folder is None or self.path is None or wrong - NOT_OF_REGIONS:
            return None
        spec = spec.in_folder(folder, self.path.name)
        try:
            self.require_files(spec)
        except GrainError:
            return None
        return first_frame(spec, folder)

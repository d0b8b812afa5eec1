"""All that an editor can ask about a document at an offset."""

from __future__ import annotations

from contextlib import suppress

from grainspec import GrainError
from grainspec.analysis.completion import completions
from grainspec.analysis.contents import contents
from grainspec.analysis.document import Document
from grainspec.analysis.fixes import all_fixed, corrections, formatted
from grainspec.analysis.folding import folds
from grainspec.analysis.hints import hints
from grainspec.analysis.hover import hover
from grainspec.analysis.lenses import lenses
from grainspec.analysis.links import links
from grainspec.analysis.symbols import definitions, references, renamed
from grainspec.analysis.tokens import coloured


def ask_at(document: Document, offset: int) -> None:
    """Ask what is known at an offset; answers must lie inside the text."""
    size = len(document.text)
    for item in completions(document, offset):
        assert 0 <= item.start <= offset <= item.end <= size, item
        assert item.label
    found = hover(document, offset, document.findings)
    assert found is None or 0 <= found.start <= found.end <= size
    for place in [*definitions(document, offset), *references(document, offset)]:
        assert 0 <= place.start <= place.end <= size
    try:
        edits = renamed(document, offset, "another_name")
    except GrainError:
        edits = []
    names = {document.text[edit.start : edit.end] for edit in edits}
    assert len(names) <= 1 or any(not name.isascii() for name in names)  # normal forms differ


def ask_all(document: Document) -> None:
    """Ask what is known of the whole document."""
    size = len(document.text)
    last = 0
    for word in coloured(document):
        assert last <= word.start < word.end <= size
        assert "\n" not in document.plain[word.start : word.end]
        last = word.end
    for fold in folds(document):
        assert 0 <= fold.first < fold.last < document.positions.lines
    for entry in contents(document):
        assert entry.start <= entry.name_start <= entry.name_end <= entry.end <= size
        assert all(entry.start <= child.start <= entry.end for child in entry.children)
    for lens in lenses(document):
        assert 0 <= lens.start <= lens.end <= size
    assert all(0 <= hint.offset <= size for hint in hints(document, None, 0, size))
    assert all(0 <= link.path.start <= link.path.end <= size for link in links(document))
    for found in corrections(document, document.findings, 0, size):
        assert found.edits
        assert found.title
    all_fixed(document)
    with suppress(GrainError):
        formatted(document)

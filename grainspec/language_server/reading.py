"""Requests that change nothing: hover, places of names, contents, colours, notes, commands."""

from __future__ import annotations

from pathlib import Path

from lsprotocol import types

from grainspec.analysis.contents import Entry, contents
from grainspec.analysis.document import Document
from grainspec.analysis.folding import folds
from grainspec.analysis.hints import hints
from grainspec.analysis.hover import hover
from grainspec.analysis.lenses import lenses
from grainspec.analysis.links import file_of, links
from grainspec.analysis.pieces import Pieces
from grainspec.analysis.symbols import Place, definitions, references
from grainspec.analysis.tokens import KINDS, coloured
from grainspec.diagnostics import GrainError
from grainspec.language_server.convert import offset_of, range_of
from grainspec.language_server.session import Session
from grainspec.language_server.tokenizers import Prompt

_SYMBOLS = {
    "video": types.SymbolKind.File,
    "source": types.SymbolKind.String,
    "target": types.SymbolKind.String,
    "negative": types.SymbolKind.String,
    "region": types.SymbolKind.Variable,
    "edit": types.SymbolKind.Event,
    "add": types.SymbolKind.Event,
    "keep": types.SymbolKind.Event,
    "free": types.SymbolKind.Event,
    "without": types.SymbolKind.Event,
    "variant": types.SymbolKind.Namespace,
}


def on_hover(session: Session, params: types.HoverParams) -> types.Hover | None:
    """What stands at a position."""
    uri = params.text_document.uri
    document, opened = session.get(uri), session.opened(uri)
    if document is None or opened is None:
        return None
    offset = offset_of(document, params.position)
    found = hover(
        document,
        offset,
        session.findings(uri),
        opened.facts,
        lambda prompt: _pieces(session, document, prompt),
    )
    if found is None:
        return None
    text = types.MarkupContent(types.MarkupKind.Markdown, found.text)
    return types.Hover(text, range_of(document, found.start, found.end))


def _pieces(session: Session, document: Document, prompt: str) -> Pieces | None:
    """The text tokens of a prompt, by the tokenizer of a document's model."""
    spec = document.draft
    if spec is None:
        return Pieces("", why="the spec cannot be read")
    folder = (document.folder or Path()).absolute()
    try:
        for name in (spec.model, spec.motion_adapter):
            if name and (folder / name).exists():
                document.require(folder / name)
    except GrainError as error:
        return Pieces("", why=error.diagnostics[0].message)
    asked = Prompt(spec.model, spec.motion_adapter, str(folder), prompt)
    return session.tokenizers.pieces(asked)


def definition(session: Session, params: types.DefinitionParams) -> list[types.Location]:
    """Where a name, words or a path lead."""
    uri = params.text_document.uri
    document = session.get(uri)
    if document is None:
        return []
    found = definitions(document, offset_of(document, params.position))
    return [_location(document, uri, place) for place in found]


def find_references(session: Session, params: types.ReferenceParams) -> list[types.Location]:
    """Where a name or words are used."""
    uri = params.text_document.uri
    document = session.get(uri)
    if document is None:
        return []
    offset = offset_of(document, params.position)
    found = references(document, offset, definition=params.context.include_declaration)
    return [_location(document, uri, place) for place in found]


def highlights(
    session: Session, params: types.DocumentHighlightParams
) -> list[types.DocumentHighlight]:
    """The places of a name or words, to be shown together."""
    document = session.get(params.text_document.uri)
    if document is None:
        return []
    found = references(document, offset_of(document, params.position))
    return [
        types.DocumentHighlight(range_of(document, place.start, place.end))
        for place in found
        if place.file is None
    ]


def _location(document: Document, uri: str, place: Place) -> types.Location:
    if place.file is not None:
        start = types.Position(0, 0)
        return types.Location(place.file.as_uri(), types.Range(start, start))
    return types.Location(uri, range_of(document, place.start, place.end))


def document_symbols(
    session: Session, params: types.DocumentSymbolParams
) -> list[types.DocumentSymbol]:
    """The contents of a text."""
    document = session.get(params.text_document.uri)
    return [_symbol(document, one) for one in contents(document)] if document else []


def _symbol(document: Document, entry: Entry) -> types.DocumentSymbol:
    return types.DocumentSymbol(
        name=entry.name.strip() or entry.keyword,
        detail=entry.detail.strip(),
        kind=_SYMBOLS.get(entry.keyword, types.SymbolKind.Property),
        range=range_of(document, entry.start, entry.end),
        selection_range=range_of(document, entry.name_start, entry.name_end),
        children=[_symbol(document, child) for child in entry.children],
    )


def folding(session: Session, params: types.FoldingRangeParams) -> list[types.FoldingRange]:
    """The foldable lines."""
    document = session.get(params.text_document.uri)
    return [
        types.FoldingRange(
            one.first, one.last, kind=types.FoldingRangeKind.Comment if one.comment else None
        )
        for one in (folds(document) if document else ())
    ]


def semantic_tokens(
    session: Session, params: types.SemanticTokensParams | types.SemanticTokensRangeParams
) -> types.SemanticTokens:
    """The kind of each word, of the text or of a part of it."""
    document = session.get(params.text_document.uri)
    data: list[int] = []
    if document is None:
        return types.SemanticTokens(data)
    asked = params.range if isinstance(params, types.SemanticTokensRangeParams) else None
    first, last = 0, len(document.text)
    if asked is not None:
        first, last = offset_of(document, asked.start), offset_of(document, asked.end)
    line_before = column_before = 0
    for start, end, kind in coloured(document):
        if end < first or start > last:
            continue
        line, column = document.positions.position(start)
        length = document.positions.position(end)[1] - column
        if line != line_before:
            column_before = 0
        data += (line - line_before, column - column_before, length, KINDS.index(kind), 0)
        line_before, column_before = line, column
    return types.SemanticTokens(data)


def inlay_hints(session: Session, params: types.InlayHintParams) -> list[types.InlayHint]:
    """Shares of the frame, and resolved strengths."""
    uri = params.text_document.uri
    document, opened = session.get(uri), session.opened(uri)
    if document is None or opened is None:
        return []
    start, end = offset_of(document, params.range.start), offset_of(document, params.range.end)
    return [
        types.InlayHint(
            position=range_of(document, one.offset, one.offset).start,
            label=one.text,
            tooltip=types.MarkupContent(types.MarkupKind.Markdown, one.tooltip),
            padding_left=True,
        )
        for one in hints(document, opened.facts, start, end)
    ]


def code_lenses(session: Session, params: types.CodeLensParams) -> list[types.CodeLens]:
    """Show, plan and run, above each edit that a text stands for."""
    uri = params.text_document.uri
    document = session.get(uri)
    return [
        types.CodeLens(
            range_of(document, one.start, one.end),
            types.Command(one.title, one.command, arguments=[{"uri": uri, "variant": one.variant}]),
        )
        for one in (lenses(document) if document else ())
        if document is not None
    ]


def document_links(session: Session, params: types.DocumentLinkParams) -> list[types.DocumentLink]:
    """The files that a text names; of a folder, its first one."""
    document = session.get(params.text_document.uri)
    found = []
    for link in links(document) if document else ():
        assert document is not None
        file = file_of(document, link)
        if file is not None:
            place = range_of(document, link.path.start, link.path.end)
            found.append(types.DocumentLink(place, file.as_uri()))
    return found

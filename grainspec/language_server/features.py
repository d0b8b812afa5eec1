"""The requests of editors, each with the function that answers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lsprotocol import types

from grainspec.analysis.fixes import all_fixed, corrections, formatted
from grainspec.analysis.tokens import KINDS, coloured
from grainspec.diagnostics import GrainError
from grainspec.language_server.convert import diagnostic, offset_of, text_edits
from grainspec.language_server.session import Session

FIX_ALL = "source.fixAll.grain"


def format_document(
    session: Session, params: types.DocumentFormattingParams
) -> list[types.TextEdit] | None:
    """Lay a text out in the canonical style; one with syntax errors stays as it is."""
    document = session.get(params.text_document.uri)
    if document is None:
        return None
    try:
        return text_edits(document, formatted(document))
    except GrainError:
        return None


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


def code_actions(session: Session, params: types.CodeActionParams) -> list[types.CodeAction]:
    """Corrections of the findings in a range, and of all findings."""
    uri = params.text_document.uri
    document = session.get(uri)
    if document is None:
        return []
    only = params.context.only
    actions = []
    if _asked(types.CodeActionKind.QuickFix, only):
        start, end = offset_of(document, params.range.start), offset_of(document, params.range.end)
        for found in corrections(document, session.findings(uri), start, end):
            edits = text_edits(document, found.edits)
            actions.append(
                types.CodeAction(
                    title=found.title,
                    kind=types.CodeActionKind.QuickFix,
                    diagnostics=[diagnostic(document, uri, found.finding)],
                    edit=types.WorkspaceEdit(changes={uri: edits}),
                    is_preferred=found.certain or None,
                )
            )
    # It takes several readings of the text: not at each move of the cursor.
    wanted = _asked(FIX_ALL, only) if only else bool(actions)
    if wanted and (all_edits := all_fixed(document)):
        actions.append(
            types.CodeAction(
                title="Make all corrections that are certain",
                kind=FIX_ALL,
                edit=types.WorkspaceEdit(changes={uri: text_edits(document, all_edits)}),
            )
        )
    return actions


def _asked(kind: str, only: Any) -> bool:
    """Whether a kind of action is among those asked for; a kind includes those below it."""
    return not only or any(kind == wanted or kind.startswith(f"{wanted}.") for wanted in only)


def files_changed(session: Session, params: Any) -> None:
    """Check again: a document was saved, or a file changed."""
    session.files_changed()


Handler = Callable[[Session, Any], Any]

FEATURES: tuple[tuple[str, Any, Handler], ...] = (
    (types.TEXT_DOCUMENT_FORMATTING, None, format_document),
    (
        types.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL,
        types.SemanticTokensLegend(token_types=list(KINDS), token_modifiers=[]),
        semantic_tokens,
    ),
    (
        types.TEXT_DOCUMENT_SEMANTIC_TOKENS_RANGE,
        types.SemanticTokensLegend(token_types=list(KINDS), token_modifiers=[]),
        semantic_tokens,
    ),
    (
        types.TEXT_DOCUMENT_CODE_ACTION,
        types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix, FIX_ALL]),
        code_actions,
    ),
    (types.TEXT_DOCUMENT_DID_SAVE, None, files_changed),
    (types.WORKSPACE_DID_CHANGE_WATCHED_FILES, None, files_changed),
)
"""Each request's method, the options that the server states, and what answers it."""

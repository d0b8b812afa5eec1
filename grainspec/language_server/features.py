"""The requests of editors, each with the function that answers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from lsprotocol import types

from grainspec.analysis.tokens import KINDS
from grainspec.language_server import drawing, editing, reading
from grainspec.language_server.session import Session


class Feature(NamedTuple):
    """A request or notification, what answers it, and the options that the server states.

    With ``files``, it may read files, so it is answered in another thread.
    """

    method: str
    answer: Callable[[Session, Any], Any]
    options: Any = None
    files: bool = False


def saved(session: Session, params: Any) -> None:
    """Check again: a document was saved."""
    session.files_changed()


def files_changed(session: Session, params: Any) -> None:
    """Look at what the findings depend on: files changed that the editor watches."""
    session.watching.look()


_LEGEND = types.SemanticTokensLegend(token_types=list(KINDS), token_modifiers=[])

FEATURES = (
    Feature(
        types.TEXT_DOCUMENT_COMPLETION,
        editing.complete,
        types.CompletionOptions(trigger_characters=list(' "/({>|&-~,')),
        files=True,
    ),
    Feature(
        types.TEXT_DOCUMENT_CODE_ACTION,
        editing.code_actions,
        types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix, editing.FIX_ALL]),
    ),
    Feature(types.TEXT_DOCUMENT_FORMATTING, editing.format_document),
    Feature(types.TEXT_DOCUMENT_PREPARE_RENAME, editing.prepare_rename),
    Feature(types.TEXT_DOCUMENT_RENAME, editing.rename, types.RenameOptions(prepare_provider=True)),
    Feature(types.TEXT_DOCUMENT_HOVER, reading.on_hover, files=True),
    Feature(types.TEXT_DOCUMENT_DEFINITION, reading.definition, files=True),
    Feature(types.TEXT_DOCUMENT_REFERENCES, reading.find_references),
    Feature(types.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT, reading.highlights),
    Feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL, reading.document_symbols),
    Feature(types.TEXT_DOCUMENT_FOLDING_RANGE, reading.folding),
    Feature(types.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL, reading.semantic_tokens, _LEGEND),
    Feature(types.TEXT_DOCUMENT_SEMANTIC_TOKENS_RANGE, reading.semantic_tokens, _LEGEND),
    Feature(types.TEXT_DOCUMENT_INLAY_HINT, reading.inlay_hints),
    Feature(types.TEXT_DOCUMENT_CODE_LENS, reading.code_lenses),
    Feature(types.TEXT_DOCUMENT_DOCUMENT_LINK, reading.document_links, files=True),
    Feature(types.TEXT_DOCUMENT_DID_SAVE, saved),
    Feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES, files_changed),
    Feature("grain/gesture", drawing.gesture, files=True),
    Feature("grain/shapes", drawing.shapes_at, files=True),
    Feature("grain/newSpec", drawing.first_spec, files=True),
)
"""All that the server answers, besides the documents that it takes in."""

"""Requests that change a text: completion, corrections, formatting, renaming."""

from __future__ import annotations

from typing import Any

from lsprotocol import types

from grainspec.analysis.completion import Item, completions
from grainspec.analysis.document import Document
from grainspec.analysis.fixes import all_fixed, corrections, formatted
from grainspec.analysis.symbols import name_at, renamed
from grainspec.diagnostics import GrainError
from grainspec.language_server.convert import diagnostic, offset_of, range_of, text_edits
from grainspec.language_server.session import Session

FIX_ALL = "source.fixAll.grain"

_KINDS = {
    "statement": types.CompletionItemKind.Keyword,
    "setting": types.CompletionItemKind.Property,
    "value": types.CompletionItemKind.EnumMember,
    "region": types.CompletionItemKind.Variable,
    "phrase": types.CompletionItemKind.Text,
    "file": types.CompletionItemKind.File,
    "folder": types.CompletionItemKind.Folder,
    "word": types.CompletionItemKind.Keyword,
    "call": types.CompletionItemKind.Function,
}
_AGAIN = {"folder": types.Command("Complete", "editor.action.triggerSuggest")}
"""After a folder, what is in it; editors that do not know the command ignore it."""


def complete(session: Session, params: types.CompletionParams) -> types.CompletionList:
    """What may be written at a position, in the order of likelihood."""
    document = session.get(params.text_document.uri)
    if document is None:
        return types.CompletionList(is_incomplete=False, items=[])
    found = completions(document, offset_of(document, params.position))
    return types.CompletionList(
        is_incomplete=False,
        items=[_item(document, one, number, session.snippets) for number, one in enumerate(found)],
    )


def _item(document: Document, item: Item, number: int, snippets: bool) -> types.CompletionItem:
    as_snippet = item.snippet and snippets
    insert = item.label if item.snippet and not snippets else item.insert
    markdown = types.MarkupContent(types.MarkupKind.Markdown, item.documentation)
    return types.CompletionItem(
        label=item.label,
        kind=_KINDS[item.kind],
        detail=item.detail or None,
        documentation=markdown if item.documentation else None,
        sort_text=f"{number:04}",
        # What is typed of a text in quotes is compared with the whole text.
        filter_text=item.insert if item.kind in {"phrase", "file", "folder"} else None,
        insert_text_format=(
            types.InsertTextFormat.Snippet if as_snippet else types.InsertTextFormat.PlainText
        ),
        text_edit=types.TextEdit(range_of(document, item.start, item.end), insert),
        command=_AGAIN.get(item.kind),
    )


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


def prepare_rename(session: Session, params: types.PrepareRenameParams) -> types.Range | None:
    """The name at a position, if it can be renamed."""
    document = session.get(params.text_document.uri)
    if document is None:
        return None
    name = name_at(document, offset_of(document, params.position))
    return range_of(document, name.start, name.end) if name else None


def rename(session: Session, params: types.RenameParams) -> types.WorkspaceEdit | None:
    """Rename a region or variant everywhere; raises GrainError for a name that is not free."""
    uri = params.text_document.uri
    document = session.get(uri)
    if document is None:
        return None
    edits = renamed(document, offset_of(document, params.position), params.new_name)
    return types.WorkspaceEdit(changes={uri: text_edits(document, edits)}) if edits else None

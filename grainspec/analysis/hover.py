"""What stands at an offset, in Markdown."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lark import Token

from grainspec.analysis.checks import FileFacts
from grainspec.analysis.context import Context, context_at, statement_at, token_at
from grainspec.analysis.document import Document
from grainspec.analysis.hints import share_text
from grainspec.analysis.links import known_settings, link_at
from grainspec.analysis.meanings import (
    choice_text,
    declared_setting,
    setting_text,
    statement_text,
    value_text,
    word_text,
)
from grainspec.analysis.phrases import bound_at, phrase_token, places_in, prompt_of
from grainspec.analysis.pieces import AskPieces, pieces_text
from grainspec.analysis.quoted import Quoted, quoted
from grainspec.analysis.strengths import profile_of
from grainspec.analysis.symbols import name_at, same_names
from grainspec.diagnostics import Diagnostic
from grainspec.diagnostics.explanations import explanations
from grainspec.model.declaration import Declaration, head_of
from grainspec.model.spec import BLOCKS


class Hover(NamedTuple):
    """What is said about the characters from ``start`` to before ``end``."""

    start: int
    end: int
    text: str


def hover(
    document: Document,
    offset: int,
    findings: Iterable[Diagnostic] = (),
    facts: FileFacts | None = None,
    ask_pieces: AskPieces | None = None,
) -> Hover | None:
    """What is known of the word at an offset; None for nothing.

    ``findings`` are those of the document, whose codes are explained; ``ask_pieces`` tells the text
    tokens of a prompt.

    >>> hover(Document("sampler { steps 30 }", None), 11).text.splitlines()[0]
    '**steps** · whole number, 1 to 1000'
    """
    token = token_at(document, offset)
    parts: list[str] = []
    start, end = offset, offset
    if token is not None:
        start, end = token.start_pos or 0, token.end_pos or 0
        parts = [part for part in _of_token(document, offset, token, facts, ask_pieces) if part]
    for finding in findings:
        if finding.span is None or finding.span.path is not None:
            continue
        first, last = document.positions.offsets(finding.span)
        if first <= offset <= last:
            start, end = (first, last) if not parts else (start, end)
            parts.append(explained(finding.code))
    parts = list(dict.fromkeys(parts))
    return Hover(start, end, "\n\n---\n\n".join(parts)) if parts else None


def explained(code: str) -> str:
    """The explanation of a code."""
    found = explanations().get(code)
    return f"**{code}** {found.title}\n\n{found.text}" if found else ""


def _of_token(
    document: Document,
    offset: int,
    token: Token,
    facts: FileFacts | None,
    ask_pieces: AskPieces | None,
) -> Iterator[str]:
    name = name_at(document, offset)
    if name is not None:
        yield _name(document, name.kind, name.name)
    elif token.type in {"STRING", "UNCLOSED"}:
        yield _text(document, offset, token, ask_pieces)
    else:
        yield _word(document, token, facts)


# --- regions and variants ------------------------------------------------------------------------


def _name(document: Document, kind: str, name: str) -> str:
    """A region's definition, its share of the first frame, and its picture."""
    symbol = next(
        (
            one
            for one in document.symbols
            if (one.kind, one.name, one.defines) == (kind, name, True)
        ),
        None,
    )
    if symbol is None:
        return f"unknown {kind} `{name}`"
    lines = []
    statement = statement_at(document, symbol.start)
    if statement is not None:
        text = document.plain[statement.start : min(statement.end, statement.start + 400)]
        lines.append(f"```grain\n{text}\n```")
    if kind == "region":
        uses = len(same_names(document, symbol)) - 1
        lines.append(f"region, used {uses} time{'s' * (uses != 1)}")
        lines += _on_frame(document, name)
    return "\n\n".join(lines)


def _on_frame(document: Document, name: str) -> Iterator[str]:
    frame = document.first_frame
    if frame is None:
        return
    if name in frame.errors:
        yield frame.errors[name]
    elif name in frame.shares:
        yield f"{share_text(frame.shares[name])} of frame {frame.number}"
        picture = frame.picture(name)
        if picture is not None:
            data = base64.b64encode(picture).decode()
            yield f"![{name}](data:image/png;base64,{data})"


# --- texts in quotes -----------------------------------------------------------------------------


def _text(document: Document, offset: int, token: Token, ask_pieces: AskPieces | None) -> str:
    link = link_at(document, offset)
    if link is not None:
        return _path(document, link.what, link.path.text)
    bound = bound_at(document, offset)
    if bound is not None:
        place, phrases = bound
        regions = " and ".join(dict.fromkeys(f"`{one.region}`" for one in phrases))
        said = f"“{document.text[slice(*place)]}” · bound to {regions}"
        return _with_pieces(said, quoted(token), [place], ask_pieces)
    statement = statement_at(document, offset)
    if statement is None or phrase_token(statement) is not token:
        return ""
    prompt = prompt_of(document, statement.variant)
    phrase = quoted(token).text
    places = places_in(prompt, phrase) if prompt is not None else []
    if prompt is None or not places:
        return f"“{phrase}” is not in the target prompt"
    first, last = places[0]
    before = len(document.text[prompt.start : first].split())
    count, total = len(phrase.split()), len(prompt.text.split())
    which = f"word {before + 1}" if count == 1 else f"words {before + 1} to {before + count}"
    shown = document.text[prompt.start : first], document.text[first:last]
    context = f"{shown[0][-120:]}**{shown[1]}**{document.text[last : min(prompt.end, last + 120)]}"
    said = f"“{phrase}” · {which} of {total} in the target prompt\n\n> {context}"
    return _with_pieces(said, prompt, places, ask_pieces)


def _with_pieces(
    said: str, prompt: Quoted, places: list[tuple[int, int]], ask_pieces: AskPieces | None
) -> str:
    """What is said of words of a prompt, and their text tokens."""
    if ask_pieces is None:
        return said
    spans = [(prompt.places.index(start), prompt.places.index(end)) for start, end in places]
    return f"{said}\n\n{pieces_text(prompt.text, spans, ask_pieces(prompt.text))}"


def _path(document: Document, what: str, path: str) -> str:
    """What a path names; of the clip, its facts."""
    folder = document.folder
    if what != "video" or folder is None:
        return f"`{path}`"
    from grainspec.analysis.files import files_at
    from grainspec.clip.facts import probe
    from grainspec.diagnostics import GrainError

    try:
        for file in files_at(folder / path):
            document.require(file)
        facts = probe(folder / path)
    except (GrainError, OSError, ValueError) as error:
        return f"`{path}`\n\n{error}"
    size = f"{facts.width} × {facts.height}"
    return f"`{path}`\n\n{facts.frames} frames of {size} pixels, {facts.fps:g} a second"


# --- words of the language -----------------------------------------------------------------------


def _word(document: Document, token: Token, facts: FileFacts | None) -> str:
    start = token.start_pos or 0
    context = context_at(document, start)
    statement = statement_at(document, start)
    if statement is None:
        return ""
    word, keyword = str(token), statement.keyword
    if token is statement.tokens[0]:
        return statement_text(keyword) if keyword else ""
    holder = keyword if context.call in {"{", ""} else context.call
    declared = declared_setting(holder, word)
    if context.call and declared is not None and not _is_value(context, word):
        return setting_text(declared, profiles=keyword == "attention") + _resolved(
            document, keyword, declared, statement.variant, facts
        )
    if context.call and (setting := _setting_before(context, holder)):
        return setting_text(setting, profiles=keyword == "attention")
    head = head_of(BLOCKS[keyword].model) if keyword in BLOCKS else None
    if head is not None and word in head.choices and len(context.before) == 1:
        return f"**{word}**\n\n{choice_text(keyword, head, word)}"
    return word_text(word)


def _is_value(context: Context, word: str) -> bool:
    """Whether a word that is also a setting's keyword is the value of the one before it."""
    before = context.inside[-1] if context.inside else None
    holder = context.before[0] if context.before else None
    if before is None or holder is None:
        return False
    declared = declared_setting(str(holder), str(before))
    return declared is not None and word in declared.choices


def _setting_before(context: Context, holder: str) -> Declaration | None:
    """The setting whose value a word is."""
    known = known_settings(holder)
    for token in reversed(context.inside):
        if token.type == "NAME" and str(token) in known:
            return known[str(token)]
    return None


def _resolved(
    document: Document,
    keyword: str,
    declared: Declaration,
    variant: int,
    facts: FileFacts | None,
) -> str:
    """What the profile makes of a setting of `attention` in this spec."""
    spec = document.spec or document.draft
    if keyword != "attention" or spec is None:
        return ""
    name = next((one.name for one in document.variants if one.number == variant), "")
    if name in spec.variant_names:
        spec = spec.as_variant(name)
    profile = profile_of(spec, facts.profile if facts else None)
    value = getattr(spec.for_profile(profile).modulation, declared.field, None)
    if value is None:
        return ""
    return f"\n\nHere: `{value_text(declared, value)}`, with the profile `{profile}`"

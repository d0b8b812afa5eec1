"""What may follow the words of a statement: its parts, settings, values, regions, calls."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from lark import Token

from grainspec.analysis.candidates import files_in, phrases_in
from grainspec.analysis.context import Context
from grainspec.analysis.document import Document
from grainspec.analysis.links import known_settings, settings_after, takes_path
from grainspec.analysis.meanings import (
    ATOMS,
    CALLS,
    MODIFIERS,
    choice_text,
    grain_words,
    setting_text,
    statement_text,
    value_text,
    word_text,
)
from grainspec.analysis.phrases import prompt_of
from grainspec.model.algebra import Find
from grainspec.model.declaration import Declaration, fields_of, head_of
from grainspec.model.demo_models import DEMO, DemoModel
from grainspec.model.spec import BLOCKS
from grainspec.text.kinds import KINDS, values_text
from grainspec.text.kinds import quoted as in_quotes
from grainspec.text.tracked import PROMPTS

Kind = Literal[
    "statement", "setting", "value", "region", "phrase", "file", "folder", "word", "call"
]


class Proposal(NamedTuple):
    """A word that may follow. ``insert`` is a snippet, with `${1:…}` for what is filled in.

    An empty ``insert`` is the label.
    """

    label: str
    kind: Kind
    insert: str = ""
    detail: str = ""
    documentation: str = ""


def in_statement(document: Document, context: Context) -> Iterator[Proposal]:
    """What may follow the words of the statement that is being written."""
    assert context.statement is not None
    keyword, before = context.statement.keyword, context.before
    known = known_settings(keyword)
    own = settings_after(known, before)
    if context.call == "{":
        if keyword != "variant":
            yield from _in_block(document, known, own, context.inside)
    elif context.call and context.call != "(":
        yield from _in_call(document, context)
    elif handler := _HANDLERS.get(keyword):
        yield from handler(document, before)
    elif keyword in BLOCKS and len(before) == 1:
        head = head_of(BLOCKS[keyword].model)
        if head is not None and head.choices:
            for choice in _choices(head):
                yield choice._replace(documentation=choice_text(keyword, head, choice.label))
    if len(before) == 1 and takes_path(keyword):
        yield from _paths(document, keyword)
    if not context.call and _takes_braces(keyword, before):
        yield Proposal("{ }", "word", "{ $0 }", "settings", ", ".join(own))


def _takes_braces(keyword: str, before: tuple[Token, ...]) -> bool:
    """Whether a statement's settings may come next."""
    types = {token.type for token in before}
    if "LBRACE" in types or not known_settings(keyword):
        return False
    if keyword in BLOCKS:
        head = head_of(BLOCKS[keyword].model)
        needs = keyword in {"video", "control"}
        return len(before) == 2 or (len(before) == 1 and not (needs and head))
    return before[-1].type == "STRING"


def _paths(document: Document, what: str) -> Iterator[Proposal]:
    """Files and folders in quotes; in those of a folder, the cursor stays."""
    for name, _ in files_in(document, "", what):
        written = in_quotes(name)
        if name.endswith("/"):
            inside = re.sub(r"[\\$}]", r"\\\g<0>", written[1:-1])
            yield Proposal(written, "folder", f'"{inside}$0"')
        else:
            yield Proposal(written, "file")


def _in_block(
    document: Document,
    known: dict[str, Declaration],
    own: dict[str, Declaration],
    inside: tuple[Token, ...],
) -> Iterator[Proposal]:
    """The settings of a block that are not given yet, or the values of the last one.

    ``own`` are those of ``known`` that the word before the brace has.
    """
    pending, given = _pending(known, inside)
    if pending is not None:
        yield from _choices(pending)
        if pending.kind == "path":
            yield from _paths(document, pending.keyword)
        if not pending.choices and pending.default is not None and pending.kind != "flag":
            detail = f"default; {values_text(pending)}"
            yield Proposal(value_text(pending, pending.default), "value", "", detail)
        if pending.kind in {"levels", "layers"}:
            yield Proposal("all", "value", "", pending.keyword)
        if pending.kind == "box":
            yield Proposal("box", "call", CALLS["box"][0], "", word_text("box"))
        many = inside[-1].type != "NAME" and KINDS[pending.kind].many
        if not many:
            return
    for word, declared in own.items():
        if word not in given:
            yield _setting(declared, profiles="until_timestep" in known)


def _pending(
    known: dict[str, Declaration], inside: Iterable[Token]
) -> tuple[Declaration | None, set[str]]:
    """The setting whose value comes next, and all that are given."""
    pending: Declaration | None = None
    given: set[str] = set()
    depth = 0
    for token in inside:
        depth += (token.type == "LPAR") - (token.type == "RPAR")
        if depth or token.type in {"LPAR", "COMMA"}:
            continue
        word = str(token)
        is_key = token.type == "NAME" and word in known
        if pending is None or (KINDS[pending.kind].many and is_key):
            pending = known[word] if is_key and known[word].kind != "flag" else None
            given |= {word} if is_key else set()
        elif not KINDS[pending.kind].many:
            pending = None
    return pending, given


def _setting(declared: Declaration, *, profiles: bool = False) -> Proposal:
    text = setting_text(declared, profiles=profiles)
    return Proposal(declared.keyword, "setting", "", values_text(declared), text)


def _choices(declared: Declaration) -> Iterator[Proposal]:
    for choice in declared.choices:
        detail = "default" if choice == declared.default else declared.keyword
        yield Proposal(choice, "value", "", detail, declared.description)


def _in_call(document: Document, context: Context) -> Iterator[Proposal]:
    """The arguments of a call."""
    inside = context.inside
    last = inside[-1] if inside else None
    first_of_argument = last is None or last.type == "COMMA"
    if context.call == "track":
        if first_of_argument or str(last) == "not":
            for name in PROMPTS:
                insert = CALLS[name][0] if name in CALLS else "point(${1:50%}, ${2:50%})"
                yield Proposal(name, "call", insert, "", word_text(name))
            if str(last) != "not":
                yield Proposal("not", "word", "", "a point outside the object")
        return
    if context.call == "masks" and last is None:
        yield from _paths(document, "masks")
    known = known_settings(context.call)
    if context.call == "find" and first_of_argument and last is not None:
        yield from _choices(fields_of(Find)["choice"])
    if last is not None and known:
        pending, given = _pending(known, inside)
        if pending is not None:
            yield from _choices(pending)
        elif first_of_argument:
            for word, declared in known.items():
                if word not in given:
                    yield _setting(declared)


def _after_region(document: Document, before: tuple[Token, ...]) -> Iterator[Proposal]:
    """A region expression, after `region NAME =`."""
    if len(before) == 2 and before[1].type == "NAME":
        yield Proposal("=", "word", "", "what the region is")
    if len(before) < 3:
        return
    last = before[-1]
    if last.type in {"EQUAL", "VBAR", "AMPERSAND", "MINUS", "TILDE", "LPAR"}:
        own = str(before[1])
        yield from _regions(document, without={own})
        for name, (insert, _) in CALLS.items():
            yield Proposal(name, "call", insert, "", word_text(name))
        for name in ATOMS:
            yield Proposal(name, "word", "", "", word_text(name))
    elif last.type in {"NAME", "RPAR", "REST", "ALL", "PERCENT", "PIXELS", "RANGE"}:
        for name, (insert, _) in MODIFIERS.items():
            yield Proposal(name, "word", insert, "", word_text(name))


def _after_edit(document: Document, before: tuple[Token, ...]) -> Iterator[Proposal]:
    """The parts of an edit: its grain, its region, its owner, its words."""
    last, types = before[-1], [token.type for token in before]
    if last.type in {"EDIT", "ADD"}:
        words = grain_words() if last.type == "EDIT" else ("part",)
        for word in words:
            yield Proposal(word, "word", "", "", word_text(word))
        yield from _regions(document)
    elif last.type in {"CLASS", "INSTANCE", "PART", "OF"}:
        yield from _regions(document)
    elif last.type == "NAME" and "_ARROW" not in types:
        if "OF" not in types and ("PART" in types or "ADD" in types):
            yield Proposal("of", "word", "", "the region that the part belongs to")
        if "OF" in types or "ADD" not in types:
            yield Proposal("->", "word", '-> "$1"', "the words that the region becomes")
    elif last.type == "_ARROW":
        at = last.start_pos or 0
        variant = next((one.number for one in document.variants if one.hold(at)), 0)
        prompt = prompt_of(document, variant)
        for phrase in phrases_in(prompt.text) if prompt else ():
            written = in_quotes(phrase)
            yield Proposal(written, "phrase", "", "words of the target prompt")


def _after_list(document: Document, before: tuple[Token, ...]) -> Iterator[Proposal]:
    """The regions of `keep`, `free` or `without`."""
    if before[-1].type != "NAME":
        listed = {str(token) for token in before if token.type == "NAME"}
        yield from _regions(document, without=listed)


def _after_model(document: Document, before: tuple[Token, ...]) -> Iterator[Proposal]:
    if len(before) == 1:
        for name in (DEMO, *DemoModel.__args__):  # type: ignore[attr-defined]  # of a Literal
            yield Proposal(name, "value", "", "embedded model", statement_text("model"))


def _after_grain(document: Document, before: tuple[Token, ...]) -> Iterator[Proposal]:
    if len(before) == 1:
        yield Proposal("1", "value", "", "the version of the language")


def _regions(document: Document, without: Iterable[str] = ()) -> Iterator[Proposal]:
    skipped = set(without)
    for name in document.symbols:
        if name.kind == "region" and name.defines and name.name not in skipped:
            yield Proposal(name.name, "region", "", "region", _definition(document, name.start))


def _definition(document: Document, start: int) -> str:
    """The statement that defines the region at an offset, as code."""
    found = next((one for one in document.statements if one.start <= start < one.end), None)
    if found is None:
        return ""
    text = document.plain[found.start : min(found.end, found.start + 300)]
    return f"```grain\n{text}\n```"


_HANDLERS: dict[str, Callable[[Document, tuple[Token, ...]], Iterator[Proposal]]] = {
    "region": _after_region,
    "edit": _after_edit,
    "add": _after_edit,
    "keep": _after_list,
    "free": _after_list,
    "without": _after_list,
    "model": _after_model,
    "grain": _after_grain,
}

"""Single values of a spec, changed from outside its file: ``attention.self=0.5``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from lark import Token, Tree
from lark.tree import Meta
from pydantic import ValidationError

from grainspec.diagnostics import Diagnostic, GrainError, suggestion
from grainspec.diagnostics.span import Span
from grainspec.expect import expect_spec
from grainspec.model.nodes import Node
from grainspec.model.spec import Context, Edit, EditSpec, Flow, Inject
from grainspec.model.validation import findings_of
from grainspec.text.settings import (
    ATTENTION,
    CONTEXT,
    EDIT,
    FLOW,
    INJECT,
    PROFILE,
    SAMPLER,
    VIDEO,
    Kind,
    read_settings,
)
from grainspec.text.tokens import grammar

Changed = TypeVar("Changed", bound=Node)

PATH = "--set"
"""What findings give as the place they are in."""

_TEXTS = ("target", "source", "negative", "model")
_BLOCKS = {
    "video": {name: kind for name, kind in VIDEO.items() if name != "crop"},
    "attention": {"profile": PROFILE, **ATTENTION},
    "flow": {name: kind for name, kind in FLOW.items() if name != "weights"},
    "inject": INJECT,
    "context": CONTEXT,
    "sampler": SAMPLER,
}
_OFF: dict[str, Callable[[], Node]] = {"flow": Flow, "inject": Inject, "context": Context}
"""Blocks that are off where a spec has none, and turned on by a setting."""
_EDIT = ("phrase", *EDIT)


def override(spec: EditSpec, settings: Iterable[str]) -> EditSpec:
    """A spec with single values changed, each given as ``NAME=VALUE``.

    NAME is ``target``, ``source``, ``negative`` or ``model``; a setting of a block, such as
    ``attention.self``, ``sampler.steps`` or ``video.frames``; or of the edit of a region, such as
    ``left.weight`` or ``left.phrase``. Values are written as in the language, texts with or without
    quotes. A setting of ``flow``, ``inject`` or ``context`` turns it on.
    Variants are left as they are: choose one first. Raises GrainError (G2..) for what cannot be
    read; whether the new spec makes sense is for :func:`grainspec.check` to say.

    >>> from grainspec import parse
    >>> spec = parse('grain 1 video "c" target "a bear" region r = all edit r -> "bear"')
    >>> changed = override(spec, ["attention.until=50%", "r.weight=2"])
    >>> changed.attention.until, changed.edits[0].weight
    (0.5, 2.0)
    """
    spec = expect_spec(spec, "override")
    for setting in settings:
        spec = _override(spec, setting)
    return spec


def _override(spec: EditSpec, setting: str) -> EditSpec:
    name, equals, value = setting.partition("=")
    if not equals or not name.strip():
        message = f"`{setting}` changes nothing"
        raise _wrong(setting, "G204", message, "Write `NAME=VALUE`, as `attention.self=0.5`.")
    name = name.strip()
    if name in _TEXTS:
        text = _text(value)
        if name == "target" and not text:
            raise _wrong(setting, "G203", "the target prompt is empty", "Describe the edited clip.")
        return _with(spec, name, text, setting)
    block, dot, key = name.partition(".")
    if block in _BLOCKS and dot:
        node = getattr(spec, block) or _OFF[block]()
        changed = _with(node, key, _read(setting, key, _BLOCKS[block]), setting)
        return spec.replaced({}, **{block: changed})
    edited = sorted({edit.region for edit in spec.changes})
    if block not in edited or not dot:
        known = [*_TEXTS, *(f"{b}.{k}" for b, kinds in _BLOCKS.items() for k in kinds)]
        known += [f"{region}.{k}" for region in edited for k in _EDIT]
        message = f"there is no value `{name}` to set"
        inside = ", ".join(f"`{full}`" for full in known if full.startswith(f"{name}."))
        cure = f"There are {inside}." if inside else suggestion(name, known)
        raise _wrong(setting, "G201", message, cure, len(name))
    if key == "phrase":
        given: Any = _text(value)
    else:
        given = _read(setting, key, EDIT)
    edits = tuple(
        _with(edit, key, given, setting)
        if isinstance(edit, Edit) and edit.region == block
        else edit
        for edit in spec.edits
    )
    return spec.replaced({}, edits=edits)


def _text(value: str) -> str:
    """A text as it stands, or without the quotes around it."""
    value = value.strip()
    quoted = len(value) > 1 and value[0] == value[-1] == '"'
    return value[1:-1] if quoted else value


def _read(setting: str, key: str, known: dict[str, Kind]) -> Any:
    """The value of a setting, read as in a block; its place is kept."""
    start, value = setting.index(".") + 1, setting.index("=") + 1
    words: list[Token | Tree[Token]] = [_word(key, "NAME", start + 1)]
    for token in grammar().lex(" " * value + setting[value:].replace("\n", " ")):
        words.append(Tree("all", [], _meta(token)) if token.type == "ALL" else token)
    findings: list[Diagnostic] = []
    found = read_settings(Tree("block", words), known, findings)
    if findings:
        raise GrainError(findings, source=setting, path=PATH)
    if len(found) > 1:
        raise _wrong(setting, "G202", f"`{setting}` sets several values", "Give each its own.")
    return found[key].value


def _word(text: str, kind: str, column: int) -> Token:
    end = column + len(text)
    return Token(kind, text, line=1, column=column, end_line=1, end_column=end)


def _meta(token: Token) -> Any:
    meta: Any = Meta()  # type: ignore[no-untyped-call]
    meta.line, meta.column = token.line, token.column
    meta.end_line, meta.end_column = token.end_line, token.end_column
    meta.empty = False
    return meta


def _with(node: Changed, key: str, value: Any, setting: str) -> Changed:
    """A node with one field changed, validated, which was written in ``setting``."""
    model = type(node)
    fields = {info.alias or name: getattr(node, name) for name, info in model.model_fields.items()}
    place = Span(1, setting.index("=") + 2, 1, len(setting) + 1)
    try:
        changed = model(**{**fields, key: value})
    except ValidationError as error:
        findings = findings_of(error, model, lambda _: place)
        raise GrainError(findings, source=setting, path=PATH) from error
    return changed.located(node.span, **node.spans).located(
        None, **{key: replace(place, path=f"{PATH} {setting}")}
    )


def _wrong(setting: str, code: str, message: str, cure: str, length: int = 0) -> GrainError:
    span = Span(1, 1, 1, (length or len(setting)) + 1)
    return GrainError([Diagnostic(code, message, cure, span)], source=setting, path=PATH)

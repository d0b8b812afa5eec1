"""Change single values of a spec from outside its file: ``attention.self=0.5``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

from lark import Token, Tree
from lark.tree import Meta
from pydantic import ValidationError

from grainspec.diagnostics import Diagnostic, GrainError, closest, suggestion
from grainspec.diagnostics.span import Span
from grainspec.expect import expect_settings, expect_spec
from grainspec.model.declaration import Declaration, fields_of, head_of, settings_of
from grainspec.model.nodes import Node
from grainspec.model.spec import BLOCKS, Edit, EditSpec
from grainspec.model.validation import Written, findings_of
from grainspec.text.kinds import KINDS, expected_value
from grainspec.text.settings import read_settings
from grainspec.text.tokens import grammar

Changed = TypeVar("Changed", bound=Node)

PATH = "--set"
"""The path in findings about a single value."""

_TEXTS = ("target", "source", "negative", "model", "motion_adapter")
_TEXT_KINDS = ("text", "path")
_FOR_FILES = ("box",)
"""Kinds of values that can be set only in a file."""


def _known(word: str) -> dict[str, Declaration]:
    """The values of a block that can be set: its settings, and the one before its brace."""
    fields = fields_of(BLOCKS[word].model)
    return {name: field for name, field in fields.items() if field.kind not in _FOR_FILES}


def _known_of_edit() -> dict[str, Declaration]:
    """The values of an edit that can be set."""
    return {"phrase": fields_of(Edit)["phrase"], **settings_of(Edit)}


def override(spec: EditSpec, settings: str | Iterable[str]) -> EditSpec:
    """Change single values of a spec, each given as ``NAME=VALUE``.

    NAME is ``target``, ``source``, ``negative``, ``model`` or ``motion_adapter``; a setting of a
    block, such as ``attention.self``, ``sampler.steps`` or ``video.frames``; or of the edit of a
    region, such as ``left.weight`` or ``left.phrase``. Values are written as in the language, texts
    with or without quotes. A setting of a block that is off, such as ``flow``, turns it on.
    Variants are not changed: choose one first. Raises GrainError (G2..) for values that cannot be
    read; :func:`grainspec.check` reports whether the new spec makes sense.

    >>> from grainspec import parse
    >>> spec = parse('grain 1 video "c" target "a bear" region r = all edit r -> "bear"')
    >>> changed = override(spec, ["attention.until=50%", "r.weight=2"])
    >>> changed.attention.until, changed.edits[0].weight
    (0.5, 2.0)
    """
    spec = expect_spec(spec, "override")
    for setting in expect_settings(settings, "override"):
        spec = _override(spec, setting)
    return spec


def _override(spec: EditSpec, setting: str) -> EditSpec:
    name, equals, value = setting.partition("=")
    if not equals or not name.strip():
        message = f"`{setting}` has no value"
        raise _wrong(setting, "G204", message, "Write `NAME=VALUE`, such as `attention.self=0.5`.")
    name = name.strip()
    if name in _TEXTS:
        text = _text(value)
        if name == "target" and not text:
            raise _wrong(setting, "G203", "the target prompt is empty", "Describe the edited clip.")
        return _with(spec, name, text, setting)
    block, dot, key = name.partition(".")
    if block in BLOCKS and not BLOCKS[block].several and dot:
        node = getattr(spec, BLOCKS[block].field) or _turned_on(block, key, setting)
        changed = _changed(node, key, _known(block), setting)
        return spec.replaced({}, **{BLOCKS[block].field: changed})
    if dot and block in {edit.region for edit in spec.changes}:
        edits = tuple(
            _changed(edit, key, _known_of_edit(), setting)
            if isinstance(edit, Edit) and edit.region == block
            else edit
            for edit in spec.edits
        )
        return spec.replaced({}, edits=edits)
    known = _names(spec)
    inside = ", ".join(f"`{full}`" for full in known if full.startswith(f"{name}."))
    same = [full for full in known if key and full.endswith(f".{key}")]
    cure = f"Expected one of {inside}." if inside else suggestion(name, same or known)
    cure = _with_head(name, value) or cure
    raise _wrong(setting, "G201", f"unknown setting `{name}`", cure, len(name))


def _with_head(name: str, value: str) -> str:
    """The cure for a block's method or profile that is set without its name; else empty."""
    block = BLOCKS.get(name)
    head = head_of(block.model) if block and not block.several else None
    near = closest(value.strip(), head.choices) if head else None
    return f"Write `{PATH} {name}.{head.keyword}={near}`." if head and near else ""


def _turned_on(block: str, key: str, setting: str) -> Node:
    """A block that was off, with its defaults; ``key`` names its method if that has no default."""
    model = BLOCKS[block].model
    head = head_of(model)
    if head is None or not head.required:
        return model()
    if key != head.keyword:
        declared = fields_of(model).get(key)
        if declared is None:
            cure = suggestion(key, fields_of(model))
            raise _wrong(setting, "G201", f"unknown setting `{block}.{key}`", cure, len(setting))
        owner = (declared.owners or head.choices)[0]
        cure = f"Write `{PATH} {block}.{head.keyword}={owner}` before it."
        raise _wrong(setting, "G203", f"the spec has no `{block}`", cure, len(f"{block}.{key}"))
    return model.model_validate({head.key: head.choices[0]})


def _names(spec: EditSpec) -> list[str]:
    """Every NAME that can be set."""
    blocks = [word for word, block in BLOCKS.items() if not block.several]
    edited = sorted({edit.region for edit in spec.changes})
    return [
        *_TEXTS,
        *(f"{word}.{key}" for word in blocks for key in _known(word)),
        *(f"{region}.{key}" for region in edited for key in _known_of_edit()),
    ]


def _changed(node: Changed, key: str, known: dict[str, Declaration], setting: str) -> Changed:
    """A node with the setting ``key`` changed, validated."""
    declaration = known.get(key)
    if declaration and declaration.kind in _TEXT_KINDS:
        return _with(node, declaration.key, _text(setting.partition("=")[2]), setting)
    return _with(node, *_read(setting, key, known), setting)


def _text(value: str) -> str:
    """A text without its surrounding quotes, if any."""
    value = value.strip()
    quoted = len(value) > 1 and value[0] == value[-1] == '"'
    return value[1:-1] if quoted else value


def _read(setting: str, key: str, known: dict[str, Declaration]) -> tuple[str, Any]:
    """Read a setting as in a block: its key and its value, with their places."""
    start, value = setting.index(".") + 1, setting.index("=") + 1
    words: list[Token | Tree[Token]] = [_word(key, "NAME", start + 1)]
    for token in grammar().lex(" " * value + setting[value:].replace("\n", " ")):
        words.append(Tree("all", [], _meta(token)) if token.type == "ALL" else token)
    findings: list[Diagnostic] = []
    found = read_settings(Tree("block", words), known, findings)
    if findings:
        raise GrainError(findings, source=setting, path=PATH)
    if len(found) > 1:
        cure = "Write one `--set` for each value."
        raise _wrong(setting, "G202", f"`{setting}` sets several values", cure)
    ((name, given),) = found.items()
    return name, given.value


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
    """A node with one field changed to the value in ``setting``, validated."""
    model = type(node)
    fields = {field.key: getattr(node, field.field) for field in fields_of(model).values()}
    place = Span(1, setting.index("=") + 2, 1, len(setting) + 1)
    try:
        changed = model(**{**fields, key: value})
    except ValidationError as error:
        written = _written(model, key, setting, place)
        findings = findings_of(error, model, lambda path: written if path else Written(place))
        raise GrainError(findings, source=setting, path=PATH) from error
    place = replace(place, path=f"{PATH} {setting}")
    head = head_of(model)
    is_another = head is not None and head.required and head.key == key  # such as another method
    return changed.located(node.span, **node.spans).located(
        place if is_another else None, **{key: place}
    )


def _written(model: type[Node], key: str, setting: str, place: Span) -> Written:
    """How a value is written after `--set`."""
    declared = next((field for field in fields_of(model).values() if field.key == key), None)
    if declared is None or declared.kind not in KINDS:
        return Written(place)
    text = _text(setting.partition("=")[2])
    return Written(place, declared.keyword, text, expected_value(declared))


def _wrong(setting: str, code: str, message: str, cure: str, length: int = 0) -> GrainError:
    span = Span(1, 1, 1, (length or len(setting)) + 1)
    return GrainError([Diagnostic(code, message, cure, span)], source=setting, path=PATH)

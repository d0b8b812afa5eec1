"""The meaning of the language's words, from their declarations, in Markdown."""

from __future__ import annotations

import inspect
import re
from typing import Any

from grainspec.analysis.links import known_settings
from grainspec.model import algebra
from grainspec.model.declaration import Declaration, fields_of, head_of, owned
from grainspec.model.rules import STATEMENT_RULES
from grainspec.model.settings.profiles import PROFILES
from grainspec.model.spec import BLOCKS, Edit
from grainspec.model.statements import StatementWord
from grainspec.text.kinds import KINDS, values_text

_STATEMENTS = {rule.word: rule for rule in STATEMENT_RULES}
_LINK = re.compile(r"\[([^\]]*)\]\(#[^)]*\)")
_ROLE = re.compile(r":\w+:`~?(?:[\w.]*\.)?(\w+)`|``([^`]*)``")

CALLS: dict[str, tuple[str, type[Any]]] = {
    "masks": ('masks("${1}")', algebra.MaskFiles),
    "box": ("box(${1:10%}, ${2:10%}, ${3:50%}, ${4:90%})", algebra.Box),
    "ellipse": ("ellipse(${1:10%}, ${2:10%}, ${3:50%}, ${4:90%})", algebra.Box),
    "polygon": ("polygon(${1:10% 10%}, ${2:50% 10%}, ${3:30% 90%})", algebra.Polygon),
    "track": ("track(point(${1:50%}, ${2:50%}) @ ${3:0})", algebra.Track),
    "find": ('find("${1}")', algebra.Find),
}
"""What selects pixels: how it is begun, and the record that says what it means."""

MODIFIERS: dict[str, tuple[str, type[Any]]] = {
    "grow": ("grow ${1:2%}", algebra.Grown),
    "shrink": ("shrink ${1:2%}", algebra.Grown),
    "during": ("during ${1:0}..${2:8}", algebra.During),
    "smooth": ("smooth ${1:5}", algebra.Smoothed),
}
"""What follows a region, likewise."""

ATOMS: dict[str, type[Any]] = {"rest": algebra.Rest, "all": algebra.All}
"""The regions that need no definition."""


def statement_rule(keyword: str) -> StatementWord | None:
    """What is declared of a statement."""
    return _STATEMENTS.get(keyword)


def statement_text(keyword: str) -> str:
    """The meaning of a statement: how it is written, what it is for, and how often it may occur."""
    rule = _STATEMENTS[keyword]
    lines = [f"```grain\n{rule.form}\n```", _without_links(rule.meaning)]
    block = BLOCKS.get(keyword)
    head = head_of(block.model) if block else None
    if head is not None:
        lines.append(head.description)
    where = {"yes": "; also in a variant", "only": ", in a variant only"}
    lines.append(f"{rule.times}{where.get(rule.in_variant or '', '')}")
    return "\n\n".join(lines)


def choice_text(keyword: str, head: Declaration, word: str) -> str:
    """The meaning of a word before a block's brace, and the settings that it has."""
    settings = known_settings(keyword)
    lines = [head.description]
    if any(declared.owners for declared in settings.values()):
        lines.append("Settings: " + ", ".join(f"`{name}`" for name in owned(settings, word)))
    return "\n\n".join(lines)


def setting_text(declared: Declaration, *, profiles: bool = False) -> str:
    """The meaning of a setting: its values and range, its default, and what it does."""
    values = values_text(declared)
    lines = [f"**{declared.keyword}** · {values}", declared.description]
    default = default_text(declared)
    if default:
        lines.append(f"Default: {default}")
    if profiles and declared.field in PROFILES["demo"].__class__.model_fields:
        made = [
            f"`{name}` {_value(declared, getattr(profile, declared.field))}"
            for name, profile in PROFILES.items()
        ]
        lines.append("By profile: " + ", ".join(made))
    return "\n\n".join(lines)


def default_text(declared: Declaration) -> str:
    """The default of a setting in words; empty if it has none."""
    if declared.default is None:
        return declared.absent
    return "off" if declared.kind == "flag" else _value(declared, declared.default)


def value_text(declared: Declaration, value: Any) -> str:
    """A value of a setting, as it is written."""
    return KINDS[declared.kind].write(value) if declared.kind else str(value)


def _value(declared: Declaration, value: Any) -> str:
    return f"`{value_text(declared, value)}`"


def word_text(word: str) -> str:
    """The meaning of a word of region expressions or edits; empty for other words."""
    for table in (CALLS, MODIFIERS):
        if word in table:
            return f"**{word}**\n\n{record_text(table[word][1])}"
    if word in ATOMS:
        return f"**{word}**\n\n{record_text(ATOMS[word])}"
    grain = fields_of(Edit)["grain"]
    if word in grain_words():
        return f"**{word}**\n\n{grain.description}"
    return ""


def grain_words() -> tuple[str, ...]:
    """The words for what an edit's region is: a class, an instance or a part."""
    return fields_of(Edit)["grain"].choices


def record_text(record: type[Any]) -> str:
    """What a record's docstring says, as Markdown without examples."""
    text = inspect.getdoc(record) or ""
    text = text.split("\n\n>>>")[0]
    text = _ROLE.sub(lambda match: f"`{match[1] or match[2]}`", text)
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text)


def declared_setting(holder: str, word: str) -> Declaration | None:
    """The setting of a block or call by its keyword."""
    return known_settings(holder).get(word)


def _without_links(text: str) -> str:
    return _LINK.sub(r"\1", text)

"""From words of a parse tree to records: texts, paths, and findings about rejected values."""

from __future__ import annotations

import re
from typing import Any

from lark import Token, Tree
from pydantic import ValidationError

from grainspec.diagnostics import Diagnostic, Fix
from grainspec.diagnostics.span import Span
from grainspec.model.nodes import Node
from grainspec.model.validation import Written, findings_of
from grainspec.text.settings import Setting
from grainspec.text.spans import span_of

_ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "t": "\t"}
_KNOWN_OR_ANY = re.compile(r"\\(.)", re.DOTALL)
_KNOWN_ESCAPE = re.compile(r'\\["\\nt]')
_UNKNOWN_ESCAPE = re.compile(r"\\.", re.DOTALL)
_DOUBLED = re.compile(r"\\\\")
_WINDOWS = re.compile(r'\\(?=[^"\\])')


def _plain(escaped: str) -> str:
    r"""What was meant by an unknown escape: `\(`, as in other tools' prompts, is a plain `(`."""
    return escaped if not escaped.isalnum() else f"\\\\{escaped}"


class RecordReader:
    """Reads texts and makes records; a mistake becomes a finding, and its value None."""

    def __init__(self) -> None:
        self.findings: list[Diagnostic] = []

    def add_finding(self, code: str, message: str, cure: str, span: Span | None) -> None:
        """Add a finding."""
        self.findings.append(Diagnostic(code, message, cure, span))

    def make(
        self, model: type[Any], span: Span, given: dict[str, Setting], **fields: Any
    ) -> Any | None:
        """Build a node; values that its model rejects become findings at their places.

        Rejected settings are then omitted, so that the rest can still be checked.
        """
        values = {name: setting.value for name, setting in given.items()}
        written = {name: setting.written for name, setting in given.items()}
        spans = {name: setting.span for name, setting in given.items()}
        try:
            node: Node = model(**values, **fields)
        except ValidationError as error:
            self.findings += findings_of(
                error,
                model,
                lambda path: written.get(str(path[0]) if path else "", Written(span)),
            )
            refused = {str(detail["loc"][0]) for detail in error.errors() if detail["loc"]}
            if not refused or not refused <= set(given):
                return None
            good = {name: value for name, value in values.items() if name not in refused}
            try:
                node = model(**good, **fields)
            except ValidationError:
                return None
        return node.located(span, **spans)

    def string(self, token: Token) -> str:
        """The text of a STRING, without quotes and with its escapes resolved."""
        unknown = list(dict.fromkeys(_UNKNOWN_ESCAPE.findall(_KNOWN_ESCAPE.sub("", str(token)))))
        if unknown:
            text = _KNOWN_OR_ANY.sub(
                lambda m: m[0] if m[1] in _ESCAPES else _plain(m[1]), str(token)
            )
            shown = " and ".join(f"`{escape}`" for escape in unknown[:3])
            message = f"unknown escape {shown}"
            cure = r"The escapes are `\"`, `\\`, `\n` and `\t`."
            if all(escape[1] in "()[]{}" for escape in unknown):
                cure = "Write brackets without a backslash."
            fixes = (Fix(span_of(token), text),)
            self.findings.append(Diagnostic("G003", message, cure, span_of(token), fixes))
        return _KNOWN_OR_ANY.sub(lambda match: _ESCAPES.get(match[1], match[1]), str(token)[1:-1])

    def path(self, token: Token) -> str:
        r"""The path in a STRING; a `\` before a letter is that of Windows, not an escape."""
        written = str(token)
        if _WINDOWS.search(_DOUBLED.sub("", written)):
            slashes = _WINDOWS.sub("/", _DOUBLED.sub("/", written))
            message = "a path has `/` between folders, not `\\`"
            shared = written.startswith('"\\\\') and not written.startswith('"\\\\?')
            slashes = f'"/{slashes[1:]}' if shared else slashes
            cure = f"Write `{slashes}`."
            # The path of a shared folder is right only on Windows.
            fixes = () if shared else (Fix(span_of(token), slashes),)
            self.findings.append(Diagnostic("G012", message, cure, span_of(token), fixes))
            return slashes[1:-1]
        return self.string(token)


def token_of(part: Tree[Token] | Token) -> Token:
    """A part that is a token by the grammar; raises TypeError for a tree."""
    if not isinstance(part, Token):
        raise TypeError(part)
    return part


def braces_of(parts: list[Tree[Token] | Token]) -> Tree[Token] | None:
    """The braces of a statement, among its parts; None if it has none."""
    for part in parts:
        if isinstance(part, Tree) and part.data == "block":
            return part
    return None

"""Masks in files, and the options of calls: from a parse tree to the records of a spec."""

from __future__ import annotations

from collections.abc import Mapping

from lark import Token, Tree

from grainspec.diagnostics import closest, suggestion
from grainspec.diagnostics.span import Span
from grainspec.model.algebra import MaskFiles
from grainspec.model.declaration import Declaration, settings_of
from grainspec.model.validation import invalid_value
from grainspec.text.kinds import Word, expected_value
from grainspec.text.records import token_of
from grainspec.text.settings import Setting, duplicate, value_of, word_span, words_text
from grainspec.text.shapes import ShapeReader
from grainspec.text.spans import span_of


class MaskReader(ShapeReader):
    """Reads masks, and the options of calls."""

    def masks(self, call: Tree[Token]) -> MaskFiles | None:
        """A call of `masks(…)`."""
        span = word_span(call)
        if self.has_frame_inside(call):
            return None
        words = [argument.children for argument in call.children[1:]]  # type: ignore[union-attr]
        if words and len(words[0]) > 1 and getattr(words[0][0], "type", "") == "STRING":
            option = words[0][1]
            cure = f'Options follow the path with commas between them: `masks("…", {option})`.'
            where = word_span(option)
            self.add_finding("G205", f"missing comma before `{option}`", cure, where)
            return None
        if not words or len(words[0]) != 1 or getattr(words[0][0], "type", "") != "STRING":
            cure = (
                'Write `masks("folder")`, or `masks("folder", invert)` where black is the region.'
            )
            self.add_finding("G205", "`masks` needs a folder, a glob or a file first", cure, span)
            return None
        path = token_of(words[0][0])
        given = {"path": Setting(self.path(path), span_of(path))}
        places: dict[str, Span] = {}
        known = settings_of(MaskFiles)
        options = [self.option("masks", known, part, given, places) for part in words[1:]]
        return self.make(MaskFiles, span, given) if all(options) else None

    def option(
        self,
        call: str,
        options: Mapping[str, Declaration],
        words: list[Word],
        given: dict[str, Setting],
        places: dict[str, Span],
    ) -> bool:
        """Read one option of a call into ``given``; return False if it is invalid.

        ``places`` are the places of the previous options, by keyword.
        """
        key, *values = words
        name = words_text([key])
        where = word_span(key)
        declaration = options.get(name) if isinstance(key, Token) else None
        if declaration is None:
            near = closest(name, options)
            cure = suggestion(name, [near]) + " " if near else ""
            cure += "The options are " + ", ".join(f"`{option}`" for option in options) + "."
            self.add_finding("G205", f"unknown option `{name}` of `{call}`", cure, where)
            return False
        if name in places:
            self.findings.append(duplicate("G204", name, places[name], where))
            return False
        setting = self._option_value(name, where, values, declaration)
        if setting is None:
            return False
        places[name] = where
        given[declaration.key] = setting
        return True

    def _option_value(
        self, name: str, where: Span, values: list[Word], declaration: Declaration
    ) -> Setting | None:
        """The value of an option; None if it is invalid."""
        if declaration.kind == "flag":
            if values:
                cure = f"Write `{name}` alone, and a comma before the next option."
                self.add_finding("G202", f"`{name}` takes no value", cure, word_span(values[0]))
                return None
            return Setting(True, where)
        if not values:
            cure = f"Expected {expected_value(declaration)}."
            self.add_finding("G204", f"`{name}` has no value", cure, where)
            return None
        if len(values) > 1:
            place = word_span(values[0]).to(word_span(values[-1]))
            message = invalid_value(words_text(values), name, expected_value(declaration))
            self.add_finding("G202", message, "Write a comma before the next option.", place)
            return None
        read = value_of(values, name, declaration)
        if isinstance(read, Setting):
            return self.resolved(read)
        self.findings.append(read)
        return None

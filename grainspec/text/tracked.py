"""Tracked objects, shown by prompts or found by words: from a parse tree to records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lark import Token, Tree

from grainspec.diagnostics import closest, suggestion
from grainspec.diagnostics.span import Span
from grainspec.model.algebra import Find, Prompt, Track
from grainspec.model.declaration import fields_of, settings_of
from grainspec.model.expressions import framed
from grainspec.model.shapes import Point
from grainspec.text.kinds import Word
from grainspec.text.masks import MaskReader
from grainspec.text.records import token_of
from grainspec.text.settings import Setting, duplicate, word_span, words_text
from grainspec.text.shapes import SHAPES, as_shares
from grainspec.text.spans import span_of

PROMPTS = ("point", *SHAPES, "masks")
"""The calls that show an object to a tracker."""
_PROMPTS = (
    'Prompts are `point(30%, 55%)`, `not point(80%, 80%)`, `box(…)`, `polygon(…)` and `masks("…")`.'
)


class Argument(NamedTuple):
    """An argument of `track(…)` or `find(…)`: its words, and the frame after `@`."""

    words: list[Word]
    frame: Token | None
    span: Span


def arguments_of(call: Tree[Token]) -> list[Argument]:
    """The arguments of a call."""
    found = []
    for part in call.children[1:]:
        words: list[Word] = [*part.children] if isinstance(part, Tree) else [part]
        last = words[-1]
        span = word_span(words[0]).to(word_span(last))
        if isinstance(last, Tree) and last.data == "at":
            found.append(Argument(words[:-1], token_of(last.children[0]), span))
        else:
            found.append(Argument(words, None, span))
    return found


class TrackedReader(MaskReader):
    """Reads `track(…)` and `find(…)`."""

    # --- track -----------------------------------------------------------------------------------

    def track(self, call: Tree[Token]) -> Track | None:
        """A call of `track(…)`: prompts up to an `@ frame` are on that frame."""
        span = word_span(call)
        arguments = arguments_of(call)
        if not arguments:
            cure = "Show the object: `track(point(30%, 55%) @ 0)`."
            self.add_finding("G205", "`track` needs a prompt", cure, span)
            return None
        if not self._frames_are_clear(arguments):
            return None
        strange = next((each for each in arguments if call_of(each) is None), None)
        if strange is not None:
            message = f"`{words_text(strange.words)}` is not a prompt"
            self.add_finding("G205", message, _PROMPTS, strange.span)
            return None
        prompts = [self._shown(argument) for argument in arguments]
        read = [prompt for prompt in prompts if prompt is not None]
        if len(read) < len(prompts):
            return None
        track: Track | None = self.make(Track, span, {}, prompts=framed(read))
        return track

    def _frames_are_clear(self, arguments: Sequence[Argument]) -> bool:
        """Whether the prompts that follow the last `@` have a frame; False after a finding."""
        frame = next((each.frame for each in reversed(arguments) if each.frame), None)
        if frame is None or arguments[-1].frame is not None:
            return True
        last = arguments[-1]
        message = f"the prompts after `@ {frame}` have no frame"
        cure = f"Write their frame after the last of them: `{words_text(last.words)} @ {frame}`."
        self.add_finding("G205", message, cure, last.span)
        return False

    def _shown(self, argument: Argument) -> Prompt | None:
        call = call_of(argument)
        shape = self.shape_of_prompt(call) if call is not None else None
        frame = self.frame(argument.frame)
        if shape is None or (argument.frame is not None and frame is None):
            return None
        given = {"frame": frame} if frame else {}
        outside = len(argument.words) > 1
        prompt: Prompt | None = self.make(
            Prompt, argument.span, given, shape=shape, outside=outside
        )
        return prompt

    def shape_of_prompt(self, call: Tree[Token]) -> object | None:
        """What a prompt of `track(…)` shows: a point, a box, an outline or masks."""
        name = token_of(call.children[0])
        if str(name) == "point":
            return self.point(call)
        if str(name) == "masks":
            return self.masks(call)
        if str(name) in SHAPES:
            return self.shape([(None, call)], word_span(call))
        near = closest(str(name), PROMPTS)
        cure = suggestion(str(name), [near]) if near else _PROMPTS
        self.add_finding("G205", f"`{name}` is not a prompt", cure, span_of(name))
        return None

    def point(self, call: Tree[Token]) -> Point | None:
        """A call of `point(…)`."""
        _, *arguments = call.children
        span = word_span(call)
        if self.has_frame_inside(call):
            return None
        shares = as_shares(arguments, "coordinates", each=1)
        if shares:
            self.findings.append(shares)
            return None
        plain = [argument for argument in arguments if _is_single(argument)]
        if len(plain) != 2 or len(plain) < len(arguments):
            cure = "Give x and y: `point(30%, 55%)`."
            self.add_finding("G205", "a point has x and y", cure, span)
            return None
        x = self.length(arguments[0])
        y = self.length(arguments[1]) if x is not None else None
        if x is None or y is None:
            return None
        point: Point | None = self.make(Point, span, {}, x=x, y=y)
        return point

    # --- find ------------------------------------------------------------------------------------

    def find(self, call: Tree[Token]) -> Find | None:
        """A call of `find(…)`: words, then options, then the frame after `@`."""
        span = word_span(call)
        arguments = arguments_of(call)
        text = arguments[0].words[0] if arguments and len(arguments[0].words) == 1 else None
        if not isinstance(text, Token) or text.type != "STRING":
            cure = 'Name one kind of object: `find("man")`, or `find("man", leftmost @ 0)`.'
            self.add_finding("G205", "`find` needs words in quotes first", cure, span)
            return None
        given = {"words": Setting(self.string(text), span_of(text), "find", str(text))}
        places: dict[str, Span] = {}
        read = [self._find_option(option, given, places) for option in arguments[1:]]
        for argument in arguments:
            if argument.frame is not None and not self._frame_of_find(argument, given):
                return None
        return self.make(Find, span, given) if all(read) else None

    def _find_option(
        self, option: Argument, given: dict[str, Setting], places: dict[str, Span]
    ) -> bool:
        """Read one option of `find(…)` into ``given``; return False if it is invalid."""
        choices = fields_of(Find)["choice"].choices
        known = settings_of(Find)
        word, where = words_text(option.words[:1]), word_span(option.words[0])
        if word in known:
            return self.option("find", known, option.words, given, places)
        if word not in choices:
            listed = [*choices, *known]
            cure = suggestion(word, listed)
            cure = cure or f"The options are {', '.join(f'`{name}`' for name in listed)}."
            self.add_finding("G205", f"unknown option `{word}` of `find`", cure, where)
            return False
        if len(option.words) > 1:
            cure = f"Write `{word}` alone, and a comma before the next option."
            self.add_finding("G202", f"`{word}` takes no value", cure, word_span(option.words[1]))
            return False
        if "choice" in given:
            message = f"`{given['choice'].text}` and `{word}` exclude each other"
            self.add_finding("G205", message, "Keep one of them.", where)
            return False
        given["choice"] = Setting(word, where, "find", word)
        return True

    def _frame_of_find(self, argument: Argument, given: dict[str, Setting]) -> bool:
        frame = self.frame(argument.frame)
        if frame is None:
            return False
        if "frame" in given:
            self.findings.append(duplicate("G204", "@", given["frame"].span, frame.span))
            return False
        given["frame"] = frame
        return True


def call_of(argument: Argument) -> Tree[Token] | None:
    """The call of a prompt, with or without `not` before it; None if it is anything else."""
    *before, call = argument.words
    if not isinstance(call, Tree) or call.data != "call":
        return None
    return call if [str(word) for word in before] in ([], ["not"]) else None


def _is_single(argument: Tree[Token] | Token) -> bool:
    return isinstance(argument, Token) or len(argument.children) == 1

"""Values shown as code that makes them: what a user can paste."""

from __future__ import annotations

from typing import Any


def pasted(text: str) -> str:
    """A text as a Python literal, over several lines if it has several.

    >>> print(pasted("grain 1\\nvideo"))
    '''
    grain 1
    video
    '''
    >>> pasted("one line")
    "'one line'"
    """
    plain = "\\" not in text and "'''" not in text and text.replace("\n", "").isprintable()
    if "\n" not in text or not plain:
        return repr(text)
    return "'''\n" + text.strip("\n") + "\n'''"


class ShownByRepr:
    """A value that IPython and Hypothesis show as ``repr`` does.

    Otherwise they print the fields of dataclasses, and indent the lines of texts.
    """

    __slots__ = ()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

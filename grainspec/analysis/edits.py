"""Edits of a spec's text: applied, and undone."""

from __future__ import annotations

from collections.abc import Sequence

from grainspec.text.draft import Change, changed


class TextEdit(Change):
    """Characters ``start`` to before ``end`` are replaced by ``text``.

    ``start`` and ``end`` count the code points of the whole text, before any edit.
    """

    __slots__ = ()


def applied(text: str, edits: Sequence[TextEdit]) -> str:
    """A text after edits of it; raises ValueError if two of them overlap.

    >>> applied("keep sky", [TextEdit(0, 4, "free"), TextEdit(8, 8, ", trees")])
    'free sky, trees'
    """
    after = changed(text, edits)
    if after is None:
        raise ValueError("edits of a text must not overlap")
    return after


def inverse(text: str, edits: Sequence[TextEdit]) -> list[TextEdit]:
    """The edits that undo ``edits`` of ``text``.

    >>> edits = [TextEdit(0, 4, "free"), TextEdit(8, 8, ", trees")]
    >>> inverse("keep sky", edits)
    [TextEdit(start=0, end=4, text='keep'), TextEdit(start=8, end=15, text='')]
    """
    shift, undoing = 0, []
    for start, end, new in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        at = start + shift
        undoing.append(TextEdit(at, at + len(new), text[start:end]))
        shift += len(new) - (end - start)
    return undoing


def shifted(offset: int, edits: Sequence[TextEdit]) -> int:
    """Where the end of a range is after edits, of which some may be in it.

    >>> shifted(4, [TextEdit(0, 4, "free"), TextEdit(2, 2, "__"), TextEdit(9, 9, "more")])
    6
    """
    before = (edit for edit in edits if edit.end <= offset)
    return offset + sum(len(edit.text) - (edit.end - edit.start) for edit in before)

"""Drawn clips with the true masks of their objects."""

from __future__ import annotations

from functools import cache
from itertools import chain, combinations

from hypothesis import strategies as st

from grainspec.testing.drawn_clips import COLOURS, EVENTS, DrawnClip, drawn_clip


@cache
def clips(
    *, frames: int | None = None, size: tuple[int, int] | None = None, subject: str | None = None
) -> st.SearchStrategy[DrawnClip]:
    """Drawn clips of three objects: a red, a green and a blue one, of which one is the subject.

    They are oblong, on textured or plain grey; the objects move apart. The subject may be hidden
    for a while, leave, come late or get small. ``frames``, ``size`` (width and height) and
    ``subject`` fix what is drawn otherwise. The same clip is drawn by ``drawn_clip``, which needs
    no Hypothesis.

    >>> from hypothesis import find
    >>> find(clips(), lambda clip: not clip.truth[-1].any()).made_by[:25]
    'drawn_clip(0, frames=4, e'
    """
    events = [*chain(*(combinations(EVENTS, count) for count in range(len(EVENTS) + 1)))]
    return st.builds(
        drawn_clip,
        st.integers(0, 2**16),
        size=st.sampled_from(_SIZES) if size is None else st.just(size),
        frames=st.sampled_from(_COUNTS) if frames is None else st.just(frames),
        subject=st.sampled_from([*COLOURS]) if subject is None else st.just(subject),
        events=st.sampled_from(events),
        plain=st.booleans(),
    )


_SIZES = ((96, 64), (64, 96), (67, 41), (40, 72), (64, 64))
_COUNTS = (4, 1, 2, 3, 5, 8)

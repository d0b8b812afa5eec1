"""How strongly each edit is modulated, as the settings, the profile and the weights make it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from grainspec.model.demo_models import demo_profile
from grainspec.model.numbers import decimal_text
from grainspec.model.settings.profiles import Profile
from grainspec.model.spec import Edit, EditSpec, Modulation


class Strengths(NamedTuple):
    """The strengths of an edit at the first step: λ of ``plan/strengths.py``, clamped to 1.

    ``share`` is the region's share of the first frame, or None if it is not known: then λ is that
    of a region without area. In self-attention it is divided by ``divided``, the number of frames,
    with `self_area squared`.
    """

    cross: float
    self_: float
    share: float | None
    divided: int = 1

    def text(self) -> str:
        """The strengths in a few words."""
        return f"cross {_short(self.cross)}, self {_short(self.self_)}"


def strengths_of(
    edit: Edit,
    modulation: Modulation,
    shares: Mapping[str, float] | None = None,
    frames: int | None = None,
) -> Strengths:
    """The strengths of an edit, those of attraction, in a clip of so many ``frames``.

    >>> from grainspec import parse
    >>> spec = parse('grain 1 video "c" target "a cat" region r = all edit r -> "cat" { weight 2 }')
    >>> strengths_of(spec.changes[0], spec.modulation, {"r": 0.75}).text()
    'cross 0.5, self 0.15'
    """
    share = (shares or {}).get(edit.region)
    squared = modulation.self_area == "squared" and modulation.frames == "full"
    divided = (frames or 1) if squared else 1
    cross = modulation.cross * edit.weight * (1 - (share or 0.0))
    self_ = modulation.self_ * edit.weight * (1 - (share or 0.0) / divided)
    return Strengths(min(1.0, cross), min(1.0, self_), share, divided)


def profile_of(spec: EditSpec, known: Profile | None = None) -> Profile:
    """The profile that a spec's `auto` is; ``known`` is what its model's files say."""
    stated = spec.attention.profile
    if stated not in {None, "auto"}:
        assert stated is not None
        return stated
    return demo_profile(spec.model) or known or "stable_diffusion"


def _short(number: float) -> str:
    return decimal_text(round(number, 2))

"""The Python door: a spec built step by step, each step a new immutable builder.

>>> from grainspec import Builder, masks, REST
>>> spec = (
...     Builder('clip.mp4', size=(96, 96))
...     .source('a red man and a blue man on grass')
...     .target('a green robot and a yellow bear on grass')
...     .region('left', masks('masks/left'))
...     .region('right', masks('masks/right'))
...     .instance('left', 'green robot')
...     .instance('right', 'yellow bear', weight=1.2)
...     .build()
... )
>>> [edit.phrase for edit in spec.changes]
['green robot', 'yellow bear']
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from grainspec.checks import check_meaning
from grainspec.diagnostics import GrainError, fail
from grainspec.regions.expressions import Box, Expression, FrameRange, operand, path_text
from grainspec.spec import (
    Attention,
    Edit,
    EditSpec,
    Free,
    Grain,
    Keep,
    Region,
    Sampler,
    Size,
    Video,
)
from grainspec.validation import made


@dataclass(frozen=True)
class Builder:
    """Builds an :class:`EditSpec`; its methods are named as the statements of the language.

    ``video`` is a file or a folder of frames, ``frames`` the first and the last source frame,
    ``size`` width and height in pixels.
    """

    video: str | PurePath
    frames: tuple[int, int] | None = None
    step: int = 1
    size: tuple[int, int] | None = None
    crop: Box | None = None
    _fields: tuple[tuple[str, Any], ...] = ()
    _regions: tuple[Region, ...] = ()
    _edits: tuple[Edit | Keep | Free, ...] = ()

    def model(self, name: str) -> Builder:
        """``demo``, a folder in diffusers' format, or a hub id."""
        return self._with("model", name)

    def source(self, prompt: str) -> Builder:
        """What the clip shows."""
        return self._with("source", prompt)

    def target(self, prompt: str) -> Builder:
        """What the edited clip shows; every edit's words are in it."""
        return self._with("target", prompt)

    def negative(self, prompt: str) -> Builder:
        """What it must not show."""
        return self._with("negative", prompt)

    def region(self, name: str, expression: Expression) -> Builder:
        """Name a region."""
        region = made(Region, name=name, expression=operand(expression))
        return replace(self, _regions=(*self._regions, region))

    def edit(
        self,
        region: str,
        phrase: str,
        *,
        grain: Grain | None = None,
        owner: str | None = None,
        weight: float = 1.0,
        repel: float | None = None,
    ) -> Builder:
        """``edit REGION -> "phrase"``."""
        edit = made(
            Edit,
            grain=grain,
            region=region,
            owner=owner,
            phrase=phrase,
            weight=weight,
            repel=repel,
        )
        return replace(self, _edits=(*self._edits, edit))

    def class_(
        self, region: str, phrase: str, *, weight: float = 1.0, repel: float | None = None
    ) -> Builder:
        """``edit class REGION -> "phrase"``: one phrase for everything of a kind."""
        return self.edit(region, phrase, grain="class", weight=weight, repel=repel)

    def instance(
        self, region: str, phrase: str, *, weight: float = 1.0, repel: float | None = None
    ) -> Builder:
        """``edit instance REGION -> "phrase"``: one phrase for one object."""
        return self.edit(region, phrase, grain="instance", weight=weight, repel=repel)

    def part(
        self,
        region: str,
        phrase: str,
        *,
        of: str | None = None,
        weight: float = 1.0,
        repel: float | None = None,
    ) -> Builder:
        """``edit part REGION of OWNER -> "phrase"``: change a piece of something."""
        return self.edit(region, phrase, grain="part", owner=of, weight=weight, repel=repel)

    def add(
        self,
        region: str,
        phrase: str,
        *,
        of: str,
        weight: float = 1.0,
        repel: float | None = None,
    ) -> Builder:
        """``add part REGION of OWNER -> "phrase"``: put something new on something."""
        edit = made(
            Edit,
            verb="add",
            grain="part",
            region=region,
            owner=of,
            phrase=phrase,
            weight=weight,
            repel=repel,
        )
        return replace(self, _edits=(*self._edits, edit))

    def keep(self, *regions: str) -> Builder:
        """``keep REGION, …``: these must not change."""
        kept = tuple(made(Keep, region=region) for region in regions)
        return replace(self, _edits=(*self._edits, *kept))

    def free(self, *regions: str) -> Builder:
        """``free REGION, …``: these may change though no words claim them."""
        freed = tuple(made(Free, region=region) for region in regions)
        return replace(self, _edits=(*self._edits, *freed))

    def attention(self, /, **settings: Any) -> Builder:
        """``attention { … }``: cross, self, frames, until (a share), decay, levels, phrases."""
        return self._with("attention", made(Attention, **settings))

    def sampler(self, /, **settings: Any) -> Builder:
        """``sampler ddim { … }``: steps, guidance, seed."""
        return self._with("sampler", made(Sampler, **settings))

    def build(self) -> EditSpec:
        """The spec; raises GrainError with every finding if there is an error among them."""
        first, last = _pair("frames", self.frames, "the first and the last, as `(0, 30)`")
        width, height = _pair("size", self.size, "width and height, as `(512, 512)`")
        video = made(
            Video,
            path=path_text(self.video),
            frames=None if self.frames is None else made(FrameRange, first=first, last=last),
            step=self.step,
            size=None if self.size is None else made(Size, width=width, height=height),
            crop=self.crop,
        )
        spec = made(
            EditSpec,
            video=video,
            regions=self._regions,
            edits=self._edits,
            **dict(self._fields),
        )
        findings = check_meaning(spec)
        if any(finding.is_error for finding in findings):
            raise GrainError(findings)
        return spec

    def _with(self, name: str, value: Any) -> Builder:
        return replace(self, _fields=(*self._fields, (name, value)))


def _pair(name: str, value: Any, expected: str) -> tuple[Any, Any]:
    if value is None:
        return None, None
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise fail("G202", f"`{name}` is {value!r}", f"Expected {expected}.")
    return value[0], value[1]

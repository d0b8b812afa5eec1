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
from typing import Any, TypeVar

from pydantic import ValidationError

from grainspec.checks import check_meaning
from grainspec.diagnostics import GrainError
from grainspec.nodes import Node
from grainspec.regions.expressions import Box, Expression
from grainspec.spec import (
    Attention,
    Edit,
    EditSpec,
    FrameRange,
    Grain,
    Keep,
    Region,
    Sampler,
    Size,
    Video,
)
from grainspec.validation import findings_of

Made = TypeVar("Made", bound=Node)


@dataclass(frozen=True)
class Builder:
    """Builds an :class:`EditSpec`; its methods are named as the statements of the language.

    ``video`` is a file or a folder of frames, ``frames`` the first and the last source frame,
    ``size`` width and height in pixels.
    """

    video: str
    frames: tuple[int, int] | None = None
    step: int = 1
    size: tuple[int, int] | None = None
    crop: Box | None = None
    _fields: tuple[tuple[str, Any], ...] = ()
    _regions: tuple[Region, ...] = ()
    _edits: tuple[Edit | Keep, ...] = ()

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
        region = _make(Region, name=name, expression=expression)
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
        edit = _make(
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
        edit = _make(
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
        kept = tuple(_make(Keep, region=region) for region in regions)
        return replace(self, _edits=(*self._edits, *kept))

    def attention(self, /, **settings: Any) -> Builder:
        """``attention { … }``: cross, self, frames, until (a share), decay, levels, phrases."""
        return self._with("attention", _make(Attention, **settings))

    def sampler(self, /, **settings: Any) -> Builder:
        """``sampler ddim { … }``: steps, guidance, seed."""
        return self._with("sampler", _make(Sampler, **settings))

    def build(self) -> EditSpec:
        """The spec; raises GrainError with every finding if there is an error among them."""
        frames = FrameRange(first=self.frames[0], last=self.frames[1]) if self.frames else None
        size = Size(width=self.size[0], height=self.size[1]) if self.size else None
        video = _make(
            Video, path=self.video, frames=frames, step=self.step, size=size, crop=self.crop
        )
        spec = _make(
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


def _make(model: type[Made], **fields: Any) -> Made:
    """A node; raises GrainError for what its model refuses."""
    try:
        return model(**fields)
    except ValidationError as error:
        raise GrainError(findings_of(error, model, lambda _: None)) from error

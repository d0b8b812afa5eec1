"""Build specs in Python, step by step; every step returns a new immutable builder.

>>> from grainspec import Builder, Changes, masks, REST
>>> spec = (
...     Builder('clip.mp4', size=(96, 96))
...     .source('a red man and a blue man on grass')
...     .target('a green robot and a yellow bear on grass')
...     .region('left', masks('masks/left'))
...     .region('right', masks('masks/right'))
...     .instance('left', 'green robot')
...     .instance('right', 'yellow bear', weight=1.2)
...     .variant('one', Changes().target('a green robot and a blue man').without('right'))
...     .build()
... )
>>> [edit.phrase for edit in spec.changes]
['green robot', 'yellow bear']
>>> [edit.phrase for edit in spec.as_variant('one').changes]
['green robot']

A region can also be a variable, used in place of its name in statements and expressions:

>>> from grainspec import region
>>> left, right = region('left', masks('masks/left')), region('right', masks('masks/right'))
>>> spec = (
...     Builder('clip.mp4')
...     .target('a green robot and a yellow bear at night')
...     .region(left)
...     .region(right)
...     .region('sky', ~(left | right))
...     .instance(left, 'green robot')
...     .instance(right, 'yellow bear')
...     .edit('sky', 'night')
...     .build()
... )
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any, Literal, Self, TypeAlias, Unpack, overload

from grainspec.checks.meaning import check_meaning
from grainspec.diagnostics import GrainError, fail, refuse
from grainspec.diagnostics.span import Span, caller
from grainspec.expect import expect_definition, expect_phrase, region_name
from grainspec.model.arguments import (
    AttentionSettings,
    BlendSettings,
    ContextSettings,
    ControlSettings,
    FinderSettings,
    FlowSettings,
    FreeuSettings,
    InjectSettings,
    MethodSettings,
    SamplerSettings,
    TrackerSettings,
)
from grainspec.model.declaration import fields_of
from grainspec.model.expressions import (
    Box,
    Complement,
    Expression,
    FrameRange,
    Length,
    Referable,
    Reference,
    operand,
    path_text,
)
from grainspec.model.nodes import Node
from grainspec.model.settings.method import MethodName
from grainspec.model.settings.tracking import FinderEngine, TrackerEngine
from grainspec.model.spec import (
    Attention,
    Blend,
    BlendSpace,
    Change,
    Context,
    Control,
    ControlKind,
    Edit,
    EditSpec,
    Finding,
    Flow,
    Free,
    FreeU,
    Grain,
    Inject,
    Keep,
    Method,
    Region,
    Sampler,
    SamplerChange,
    Size,
    Tracking,
    Variant,
    Video,
    Without,
)
from grainspec.model.validation import invalid_value, made

RegionLike: TypeAlias = str | Referable
"""A region in a statement: its name, a :class:`Region`, ``named(…)``, or a builder, which
stands for the region that it named last."""


def region(name: str, expression: Expression | Referable) -> Region:
    """A named region, to be passed to :meth:`Builder.region` and used in place of its name.

    >>> from grainspec import masks
    >>> left = region("left", masks("masks/left"))
    >>> Builder("clip.mp4").region(left).keep(left)._edits
    (Keep(region='left'),)
    """
    name, expression = expect_definition(name, expression)
    return made(Region, name=name, expression=operand(expression))


def _keys(model: type[Node], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Convert Python arguments to a model's keys and values."""
    declared = {field.argument: field for field in fields_of(model).values()}
    fields = {}
    for name, value in settings.items():
        field = declared.get(name)
        if isinstance(value, PurePath):
            value = path_text(value)
        if field and field.kind == "length" and isinstance(value, str):
            value = Length.parse(value)
        fields[field.key if field else name] = value
    return fields


class _Statements:
    """The statements that a spec and a variant share."""

    _fields: dict[str, Any]
    _edits: tuple[Change, ...]

    def target(self, prompt: str) -> Self:
        """What the edited clip shows, including the words of every edit.

        A second call replaces the first.
        """
        return self._with("target", prompt)

    def negative(self, prompt: str) -> Self:
        """What the edited clip must not show.

        A second call replaces the first.
        """
        return self._with("negative", prompt)

    def edit(
        self,
        region: RegionLike,
        phrase: str,
        *,
        grain: Grain | None = None,
        owner: RegionLike | None = None,
        weight: float = 1.0,
        repel: float | None = None,
    ) -> Self:
        """``edit REGION -> "phrase"``."""
        fields = self._bound(grain or "edit", region, phrase, owner)
        return self._and(made(Edit, grain=grain, weight=weight, repel=repel, **fields))

    def class_(
        self, region: RegionLike, phrase: str, *, weight: float = 1.0, repel: float | None = None
    ) -> Self:
        """``edit class REGION -> "phrase"``: one phrase for everything of a kind."""
        return self.edit(region, phrase, grain="class", weight=weight, repel=repel)

    def instance(
        self, region: RegionLike, phrase: str, *, weight: float = 1.0, repel: float | None = None
    ) -> Self:
        """``edit instance REGION -> "phrase"``: one phrase for one object."""
        return self.edit(region, phrase, grain="instance", weight=weight, repel=repel)

    def part(
        self,
        region: RegionLike,
        phrase: str,
        *,
        of: RegionLike | None = None,
        weight: float = 1.0,
        repel: float | None = None,
    ) -> Self:
        """``edit part REGION of OWNER -> "phrase"``: change a piece of something."""
        return self.edit(region, phrase, grain="part", owner=of, weight=weight, repel=repel)

    def add(
        self,
        region: RegionLike,
        phrase: str,
        *,
        of: RegionLike,
        weight: float = 1.0,
        repel: float | None = None,
    ) -> Self:
        """``add part REGION of OWNER -> "phrase"``: put something new on something."""
        fields = self._bound("add", region, phrase, of)
        return self._and(made(Edit, verb="add", grain="part", weight=weight, repel=repel, **fields))

    def keep(self, *regions: RegionLike) -> Self:
        """``keep REGION, …``: these must not change."""
        return self._and(*(made(Keep, region=self._name("keep", region)) for region in regions))

    def free(self, *regions: RegionLike) -> Self:
        """``free REGION, …``: these may change although no edit names them."""
        return self._and(*(made(Free, region=self._name("free", region)) for region in regions))

    def attention(self, /, **settings: Unpack[AttentionSettings]) -> Self:
        """``attention PROFILE { … }``: percentages as numbers, such as ``until=0.3``.

        A second call replaces the first, with all its settings.
        """
        return self._with("attention", made(Attention, **_keys(Attention, settings)))

    def method(self, name: MethodName, /, **settings: Unpack[MethodSettings]) -> Self:
        """``method NAME { … }``: an editing method of another paper.

        A second call replaces the first, with all its settings.
        """
        return self._with("method", made(Method, name=name, **_keys(Method, settings)))

    def _bound(
        self, statement: str, region: RegionLike, phrase: str, owner: RegionLike | None
    ) -> dict[str, Any]:
        """Return phrase, region and owner as the fields of an edit."""
        return {
            "phrase": expect_phrase(phrase, statement.replace("class", "class_")),
            "region": self._name(statement, region),
            "owner": None if owner is None else self._name("of", owner),
        }

    def _name(self, statement: str, region: RegionLike) -> str:
        return region_name(region, statement)

    def _with(self, name: str, value: Any) -> Self:
        return replace(self, _fields={**self._fields, name: value})  # type: ignore[type-var]

    def _and(self, *edits: Change) -> Self:
        return replace(self, _edits=(*self._edits, *edits))  # type: ignore[type-var]


@dataclass(frozen=True)
class Changes(_Statements):
    """The statements of a variant; its methods have the names of the language's statements.

    >>> Changes().target("a husky in the snow").instance("wolf", "husky")._edits
    (Edit(grain='instance', region='wolf', phrase='husky'),)
    """

    _fields: dict[str, Any] = field(default_factory=dict)
    _edits: tuple[Change, ...] = ()

    def without(self, *regions: RegionLike) -> Changes:
        """``without REGION, …``: ignore what the spec says about these."""
        names = [self._name("without", region) for region in regions]
        return self._and(*(made(Without, region=name) for name in names))

    def sampler(self, /, **settings: Unpack[SamplerSettings]) -> Changes:
        """``sampler METHOD { … }``: settings that are not given keep the spec's values.

        A second call replaces the first, with all its settings.
        """
        return self._with("sampler", made(SamplerChange, **_keys(SamplerChange, settings)))


@dataclass(frozen=True)
class Builder(_Statements):
    """Builds an :class:`EditSpec`; its methods have the names of the language's statements.

    ``video`` is a file or a folder of frames, ``frames`` the first and the last source frame,
    ``size`` width and height in pixels; ``fit`` and ``alpha`` are as in the language. Errors name
    the line of Python at fault.

    >>> from grainspec import ALL, REST, box, ellipse, find, masks, moving, named, point, track
    >>> EYES = box("4%", "2%", "9%", "6%")
    >>> spec = (
    ...     Builder("boxer.mp4", frames=(0, 15), size=(512, 512))
    ...     .model("stable-diffusion-v1-5/stable-diffusion-v1-5")
    ...     .motion_adapter("guoyww/animatediff-motion-adapter-v1-5-3")
    ...     .source("two men in a ring")
    ...     .target("two robots with sunglasses and golden gloves in a flooded arena at night")
    ...     .negative("blurry")
    ...     .region("men", masks("men"))
    ...     .region("left", masks("left"))
    ...     .region("gloves", masks("gloves").grow("1%"))
    ...     .region("eyes", moving(EYES @ 0, box("7%", "2%", "12%", "6%") @ 15))
    ...     .region("lamp", ellipse("40%", "0%", "60%", "10%"))
    ...     .region("floor", ALL - named("men") - box("0%", "0%", "100%", "70%"))
    ...     .region("hall", REST)
    ...     .region("belt", track(point("40%", "60%"), ~point("60%", "60%") @ 0))
    ...     .region("ropes", find("rope") @ 3).tracker("sam2").finder("owlv2")
    ...     .class_("men", "two robots")
    ...     .part("gloves", "golden gloves", of="men", weight=1.5)
    ...     .add("eyes", "sunglasses", of="men")
    ...     .edit("hall", "flooded arena").keep("lamp", "belt", "ropes").free("floor")
    ...     .attention(profile="videograin", self=0.5, until=0.4)
    ...     .flow(levels=[0, 1]).inject(features=0.4, self=0.2).freeu(b1=1.3)
    ...     .context(frames=24)
    ...     .sampler(method="dpmpp", steps=30)
    ...     .control("depth", scale=0.8).blend(feather="8px")
    ...     .variant("one", Changes().target("a robot").instance("left", "robot").without(
    ...         "men", "gloves", "eyes", "hall"))
    ...     .build()
    ... )
    >>> [edit.region for edit in spec.as_variant("one").edits]
    ['lamp', 'belt', 'ropes', 'floor', 'left']
    >>> Builder("boxer.mp4").method("dfvedit", regions="blend")._fields["method"].blends
    True
    """

    video: str | PurePath
    frames: tuple[int, int] | None = None
    step: int = 1
    size: tuple[int, int] | None = None
    crop: Box | None = None
    fit: Literal["crop", "pad"] = "crop"
    alpha: str | None = None
    _fields: dict[str, Any] = field(default_factory=dict)
    _regions: tuple[Region, ...] = ()
    _edits: tuple[Any, ...] = ()
    _controls: tuple[Control, ...] = ()
    _variants: tuple[Variant, ...] = ()
    _place: Span | None = field(default_factory=caller, repr=False, compare=False)

    def model(self, name: str) -> Builder:
        """``demo``, a folder in diffusers' format, or a hub id.

        A second call replaces the first.
        """
        return self._with("model", name)

    def motion_adapter(self, name: str) -> Builder:
        """The folder or hub id of a motion adapter (AnimateDiff) for an image model.

        A second call replaces the first.
        """
        return self._with("motion_adapter", name)

    def source(self, prompt: str) -> Builder:
        """What the clip shows.

        A second call replaces the first.
        """
        return self._with("source", prompt)

    @overload
    def region(self, name: str, expression: Expression | Referable) -> Builder: ...
    @overload
    def region(self, region: Region, /) -> Builder: ...
    def region(self, name: Any, expression: Any = None) -> Builder:
        """Name a region: ``.region("left", masks("left"))``, or ``.region(left)`` of a Region.

        The returned builder can be passed in place of the region's name:

        >>> from grainspec import REST, masks
        >>> left = Builder("clip.mp4").region("left", masks("left"))
        >>> left.region("ground", REST - left).instance(left, "robot")._edits
        (Edit(grain='instance', region='left', phrase='robot'),)
        """
        if not isinstance(name, Region):
            name = region(name, expression)
        elif expression is not None:
            cure = f"Write `.region({name.name})`, or a name and an expression."
            raise refuse("G205", f"the region `{name.name}` has an expression already", cure)
        return replace(self, _regions=(*self._regions, name))

    def _name(self, statement: str, region: RegionLike) -> str:
        name = super()._name(statement, region)
        named = next((known for known in self._regions if known.name == name), region)
        if isinstance(region, Region) and region != named:
            cure = "Pass the region that the builder has, or rename one of them."
            raise refuse("G102", f"`{name}` is a different region in this builder", cure)
        return name

    def _reference(self) -> Reference:
        """The reference to the last region that was named, for use in expressions."""
        if not self._regions:
            cure = 'Name one first: `.region("left", …)`.'
            raise refuse("G205", "the builder has no region yet", cure)
        return self._regions[-1]._reference()

    def __invert__(self) -> Complement:
        """Everything but the region that was named last."""
        return ~operand(self)

    def tracker(
        self, engine: TrackerEngine | None = None, /, **settings: Unpack[TrackerSettings]
    ) -> Builder:
        """``tracker ENGINE { … }``: what follows the objects of ``track`` and ``find``.

        A second call replaces the first, with all its settings.
        """
        if engine is not None:
            settings["engine"] = engine
        return self._with("tracker", made(Tracking, **_keys(Tracking, settings)))

    def finder(
        self, engine: FinderEngine | None = None, /, **settings: Unpack[FinderSettings]
    ) -> Builder:
        """``finder ENGINE { … }``: what finds the objects that the words of ``find`` name.

        A second call replaces the first, with all its settings.
        """
        if engine is not None:
            settings["engine"] = engine
        return self._with("finder", made(Finding, **_keys(Finding, settings)))

    def flow(self, /, **settings: Unpack[FlowSettings]) -> Builder:
        """``flow { … }``: attention along the paths of optical flow.

        A second call replaces the first, with all its settings.
        """
        return self._with("flow", made(Flow, **_keys(Flow, settings)))

    def inject(self, /, **settings: Unpack[InjectSettings]) -> Builder:
        """``inject { … }``: injection of the source clip's features; percentages as numbers.

        A second call replaces the first, with all its settings.
        """
        return self._with("inject", made(Inject, **_keys(Inject, settings)))

    def freeu(self, /, **settings: Unpack[FreeuSettings]) -> Builder:
        """``freeu { … }``: a UNet's backbone weighed against its skip connections.

        A second call replaces the first, with all its settings.
        """
        return self._with("freeu", made(FreeU, **_keys(FreeU, settings)))

    def context(self, /, **settings: Unpack[ContextSettings]) -> Builder:
        """``context { … }``: how many frames the model processes at once.

        A second call replaces the first, with all its settings.
        """
        return self._with("context", made(Context, **_keys(Context, settings)))

    def sampler(self, /, **settings: Unpack[SamplerSettings]) -> Builder:
        """``sampler METHOD { … }``: how the edit is sampled.

        A second call replaces the first, with all its settings.
        """
        return self._with("sampler", made(Sampler, **_keys(Sampler, settings)))

    def control(self, kind: ControlKind, **settings: Unpack[ControlSettings]) -> Builder:
        """``control KIND { … }``: a ControlNet; ``start`` is the language's ``from``."""
        control = made(Control, kind=kind, **_keys(Control, settings))
        return replace(self, _controls=(*self._controls, control))

    def blend(
        self, space: BlendSpace | None = None, /, **settings: Unpack[BlendSettings]
    ) -> Builder:
        """``blend { … }``: how edited regions and source are combined; feather as ``"12px"``.

        A second call replaces the first, with all its settings.
        """
        if space is not None:
            settings["space"] = space
        return self._with("blend", made(Blend, **_keys(Blend, settings)))

    def variant(self, name: str, changes: Changes) -> Builder:
        """``variant NAME { … }``: another edit of the same clip; only what differs."""
        if not isinstance(changes, Changes):
            cure = "Write `Changes().target(…).edit(…)`."
            raise refuse("G205", f"a variant takes `Changes()`, not {type(changes).__name__}", cure)
        variant = made(Variant, name=name, edits=changes._edits, **changes._fields)
        return replace(self, _variants=(*self._variants, variant))

    def build(self) -> EditSpec:
        """Return the spec; raises GrainError with all findings if one of them is an error."""
        first, last = self._pair(
            "frames", self.frames, "the first and the last frame, such as `(0, 30)`"
        )
        width, height = self._pair("size", self.size, "width and height, such as `(512, 512)`")
        video = made(
            Video,
            path=path_text(self.video),
            frames=None if self.frames is None else made(FrameRange, first=first, last=last),
            step=self.step,
            size=None if self.size is None else made(Size, width=width, height=height),
            crop=self.crop,
            fit=self.fit,
            alpha=self.alpha,
        )
        spec = made(
            EditSpec,
            video=video,
            regions=self._regions,
            edits=self._edits,
            controls=self._controls,
            variants=self._variants,
            **self._fields,
        )
        findings = check_meaning(spec)
        if any(finding.is_error for finding in findings):
            raise GrainError(findings)
        return spec

    def _pair(self, name: str, value: Any, expected: str) -> tuple[Any, Any]:
        if value is None:
            return None, None
        if not isinstance(value, tuple | list) or len(value) != 2:
            raise fail("G202", invalid_value(repr(value), name, expected), "", self._place)
        return value[0], value[1]

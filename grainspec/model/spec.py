"""The edit spec: what to edit, where and how strongly, as immutable Pydantic models.

The text of a ``.grain`` file, the Python builder and the JSON document are three ways to write
down one :class:`EditSpec`. Defaults and ranges live here and nowhere else; the parser, the JSON
schema and the checks read them from these models.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    field_validator,
    model_validator,
)

from grainspec.model.expressions import (
    MAX_DEPTH,
    Box,
    Expression,
    FrameRange,
    Length,
    Operators,
    Reference,
    ResizeRule,
    height,
    require,
)
from grainspec.model.names import WRITABLE, Name, PathText
from grainspec.model.nodes import Node
from grainspec.model.validation import made, refusal

MAX_WEIGHT = 4.0
MAX_LEVEL = 15

MAX_PROMPT = 10_000

MAX_VARIANTS = 50
MAX_CONTROLS = 8

DEMO = "demo"
"""The name of the embedded model."""

Text = Annotated[str, Field(max_length=MAX_PROMPT), WRITABLE]
Prompt = Annotated[str, Field(min_length=1, max_length=MAX_PROMPT), WRITABLE]
Phrase = Annotated[str, Field(min_length=1, max_length=1_000), WRITABLE]
Side = Annotated[int, Field(ge=16, le=8192)]
Weight = Annotated[float, Field(ge=0, le=MAX_WEIGHT)]
Share = Annotated[float, Field(ge=0, le=1)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]
Timestep = Annotated[float, Field(ge=0, le=1_000_000)]
Decay = Annotated[float, Field(ge=0, le=100)]
_Numbers = Annotated[
    tuple[Annotated[int, Field(ge=0, le=MAX_LEVEL)], ...],
    Field(min_length=1, max_length=MAX_LEVEL + 1),
]
Levels = Annotated[
    Annotated[Literal["all"], Tag("all")] | Annotated[_Numbers, Tag("levels")],
    Discriminator(lambda given: "all" if isinstance(given, str) else "levels"),
]
Steps = Annotated[int, Field(ge=1, le=1000)]
Guidance = Annotated[float, Field(ge=0, le=100)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]

Profile = Literal["auto", "videograin", "demo"]
PhraseContext = Literal["isolated", "in_context"]
Grain = Literal["class", "instance", "part"]
FrameScope = Literal["each", "first_last", "sparse_causal", "full"]
NormScope = Literal["auto", "each", "clip"]
SamplerMethod = Literal["ddim", "dpmpp", "unipc", "deis"]
ControlKind = Literal["canny", "depth", "pose", "lineart", "softedge", "normal"]
BlendSpace = Literal["latents", "pixels", "both", "none"]
FlowMethod = Literal["dis", "raft"]


class Size(Node):
    """Width and height in pixels."""

    width: Side
    height: Side


class Video(Node):
    """The source clip: a file, or a folder of numbered frames.

    Each chosen frame is cut to ``crop``, then scaled until it covers ``size``, then cut to it
    around its middle. Without ``size`` the model's own is taken.
    """

    path: PathText
    frames: FrameRange | None = None
    step: Annotated[int, Field(ge=1, le=10_000)] = 1
    size: Size | None = None
    crop: Box | None = None

    @field_validator("crop")
    @classmethod
    def _crop_stands_still(cls, crop: Box | None) -> Box | None:
        if crop is not None and crop.kind != "box":
            raise ValueError("a crop is a box")
        if crop is not None and crop.keyframes[0].frame is not None:
            raise ValueError("a crop cannot move: give one box without `@ frame`")
        return crop


class Region(Operators, Node):
    """A named region.

    >>> from grainspec import REST, masks, region
    >>> left = region("left", masks("masks/left"))
    >>> left.name, REST - left
    ('left', Difference(items=(Rest(), Reference(name='left'))))
    """

    name: Name
    expression: Expression

    def _reference(self) -> Reference:
        """This region in an expression."""
        return made(Reference, name=self.name)

    @field_validator("expression")
    @classmethod
    def _not_too_deep(cls, expression: Expression) -> Expression:
        if height(expression) > MAX_DEPTH:
            cure = "Name a part of it as a region of its own."
            raise refusal("G004", f"this nests more than {MAX_DEPTH} deep", cure)
        return expression


class Edit(Node):
    """Bind words of the target prompt to a region.

    ``verb`` is ``edit`` for changing what is there and ``add`` for something new worn by or
    standing at ``owner``. ``grain`` says whether the region is a whole class, one instance, or a
    part; it may be left out where it carries no information (ground, sky).
    """

    model_config = ConfigDict(json_schema_extra=lambda schema: require("verb", schema))

    verb: Literal["edit", "add"] = "edit"
    grain: Grain | None = None
    region: Name
    owner: Name | None = None
    phrase: Phrase
    weight: Weight = 1.0
    """Scales the attraction of the region to its phrase."""
    repel: Weight | None = None
    """Scales the repulsion from everything else; as ``weight`` where it is not given."""

    @model_validator(mode="after")
    def _owner_fits(self) -> Edit:
        if self.owner is not None and self.grain != "part":
            raise ValueError("only a part has an owner")
        if self.verb == "add" and (self.grain != "part" or self.owner is None):
            raise ValueError("what is added is a part of an owner: `add part hat of man -> …`")
        return self

    @property
    def repulsion(self) -> float:
        """``repel``, or ``weight`` where that is not given."""
        return self.weight if self.repel is None else self.repel


class Keep(Node):
    """A region that must not change. What no edit names is kept in any case."""

    model_config = ConfigDict(json_schema_extra=lambda schema: require("verb", schema))

    verb: Literal["keep"] = "keep"
    region: Name


class Free(Node):
    """A region that may change though no words claim it; its features are kept to itself."""

    model_config = ConfigDict(json_schema_extra=lambda schema: require("verb", schema))

    verb: Literal["free"] = "free"
    region: Name

    @property
    def grain(self) -> None:
        """None: it is neither class, instance nor part."""

    @property
    def owner(self) -> None:
        """None: it belongs to nothing."""


class Without(Node):
    """In a variant: what the spec says of a region is left out."""

    model_config = ConfigDict(json_schema_extra=lambda schema: require("verb", schema))

    verb: Literal["without"] = "without"
    region: Name


Statement = Annotated[Edit | Keep | Free, Field(discriminator="verb")]
Change = Annotated[Edit | Keep | Free | Without, Field(discriminator="verb")]


class Modulation(Node):
    """How strongly attention is modulated, when, and over which frames: every setting has a value.

    >>> PROFILES["videograin"].until, PROFILES["demo"].until
    (0.3, 0.6)
    """

    cross: Share
    """Strength of cross-attention modulation (pixels to words)."""
    self_: Share = Field(alias="self")
    """Strength of self-attention modulation (pixels to pixels)."""
    frames: FrameScope = "full"
    """Which frames a frame attends to."""
    norm: NormScope = "auto"
    """Whether group norms take their statistics from each frame alone or over the whole clip.
    ``clip`` is what the paper's code does; ``auto`` is ``each`` for the demo model and ``clip`` for
    all others."""
    until: Share
    """Share of the sampling steps, from the first, that are modulated: 30% of 50 steps are the
    first 15. Half a step counts as one, and any share but 0 is at least one step."""
    until_timestep: Timestep = 0.0
    """Diffusion timestep below which nothing is modulated, whatever ``until`` says; 0 for none."""
    decay: Decay
    """Exponent p of the schedule (t / T) ** p."""
    levels: Levels = "all"
    """Which levels of the backbone are modulated, 0 the finest."""
    phrases: PhraseContext
    """Whether an edit's words are encoded by themselves or within the whole prompt."""
    unbound: Share
    """How far all that is edited is pushed away from the prompt's tokens that no edit binds
    (articles, words of what stays, the marks of beginning and end), as a share of an edit's repel:
    1 as from other edits' words, as in the paper's code; 0 not at all."""
    resize: ResizeRule = "nearest"
    """Which tokens are in a region: those with it at their centre, in a share of their pixels or in
    any of them."""
    threshold: PositiveShare = 0.5
    """The share of a token's pixels that ``resize area`` asks for."""

    model_config = ConfigDict(serialize_by_alias=True)


PROFILES = {
    "videograin": Modulation(cross=1, self=0.3, until=0.3, decay=5, phrases="isolated", unbound=1),
    "demo": Modulation(
        cross=1, self=0.3, until=0.6, decay=1, phrases="in_context", unbound=0.3, frames="each"
    ),
}
"""What holds where a spec says nothing else, by profile: the constants of the VideoGrain paper's
own code, and those that were tuned on the demo model."""


class Attention(Node):
    """What a spec or a variant says of how attention is modulated; None for what it does not say.

    ``profile`` says where the other settings come from: ``videograin`` has the constants of the
    VideoGrain paper's own code, ``demo`` those tuned on the demo model; ``auto``, the default, is
    ``demo`` for the demo model and ``videograin`` for all others.

    >>> Attention(self=0.5).settled("demo").until, Attention(self=0.5).settled("owner/name").until
    (0.6, 0.3)
    """

    profile: Profile | None = None
    cross: Share | None = None
    self_: Share | None = Field(default=None, alias="self")
    frames: FrameScope | None = None
    norm: NormScope | None = None
    until: Share | None = None
    until_timestep: Timestep | None = None
    decay: Decay | None = None
    levels: Levels | None = None
    phrases: PhraseContext | None = None
    unbound: Share | None = None
    resize: ResizeRule | None = None
    threshold: PositiveShare | None = None

    model_config = ConfigDict(serialize_by_alias=True)

    def settled(self, model: str) -> Modulation:
        """What holds for a model: what is said, and the profile's settings for what is not."""
        said = _given(self)
        profile = said.pop("profile", "auto")
        if profile == "auto":
            profile = "demo" if model == DEMO else "videograin"
        return PROFILES[profile].replaced({}, **said)


class Sampler(Node):
    """How the edited latents are sampled."""

    method: SamplerMethod = "ddim"
    """DDIM, or one of the faster solvers of the same equation: DPM-Solver++ (2M), UniPC, DEIS."""
    steps: Steps = 50
    guidance: Guidance = 7.5
    eta: Share = 0.0
    """How much of each step's noise is drawn anew, for ``ddim``: 0 for none, 1 for all of it."""
    seed: Seed = 0


class Control(Node):
    """Something of the source clip that a ControlNet holds the edit to.

    ``kind`` says what is looked for in every frame, and which ControlNet there is by default;
    ``clip`` is a video or folder of such pictures made by other means, a frame a source frame.
    """

    kind: ControlKind
    net: Annotated[str, Field(min_length=1, max_length=1_000), WRITABLE] | None = None
    """A ControlNet's folder or hub id; None for the one of the kind, for Stable Diffusion 1.5
    or the demo model."""
    annotator: Annotated[str, Field(min_length=1, max_length=1_000), WRITABLE] | None = None
    """A folder or hub id of what looks for it; None for the usual one."""
    clip: PathText | None = None
    scale: Annotated[float, Field(ge=0, le=10)] = 1.0
    start: Share = Field(default=0.0, alias="from")
    """Share of the sampling steps before it begins."""
    until: Share = 1.0
    """Share of the sampling steps after which it ends."""

    model_config = ConfigDict(serialize_by_alias=True)


class Blend(Node):
    """How what is edited is joined to what is not.

    In ``latents``, what lies outside is put back after every step; in ``pixels``, once, at the end,
    and then it is the source's to the bit.
    """

    space: BlendSpace = "latents"
    feather: Length | None = None
    """How far outside the edited regions the edit fades out; None for a hard edge."""

    @field_validator("feather")
    @classmethod
    def _not_inwards(cls, feather: Length | None) -> Length | None:
        if feather is not None and feather.value < 0:
            raise ValueError("the feather cannot be negative")
        return feather


class Flow(Node):
    """Attention along the paths of optical flow, after self-attention: what moves stays the same.

    Off where a spec has no ``flow``. As in FLATTEN (ICLR 2024); VideoGrain has it at level 0.
    """

    levels: Levels = (0,)
    """Which levels of the backbone, 0 the finest."""
    method: FlowMethod = "dis"
    """How the source clip's motion is found: by OpenCV's DIS, or torchvision's RAFT."""
    weights: PathText | None = None
    """RAFT's weights, a safetensors file or a folder with one; torchvision's own by default."""

    @model_validator(mode="after")
    def _weights_are_rafts(self) -> Flow:
        if self.weights is not None and self.method != "raft":
            raise refusal("G205", f"`{self.method}` has no weights", "Take them out.")
        return self


class Inject(Node):
    """Features of the source clip in place of the edit's own: its structure and poses stay.

    Off where a spec has no ``inject``. Plug-and-Play (Tumanyan et al., CVPR 2023); the defaults are
    its constants. VideoGrain's code has at most 10 of 50 steps for edits of several regions.
    """

    features: Share = 0.8
    """Share of the sampling steps, from the first, at which residual blocks of the decoder give
    what they give for the source clip; counted as ``attention { until }`` is."""
    self_: Share = Field(default=0.5, alias="self")
    """Share of the sampling steps, from the first, at which the decoder's self-attention has the
    queries and keys of the source clip."""
    feature_levels: Levels | None = None
    """Levels of the decoder, 0 the finest, all of whose residual blocks are replaced; None for the
    second block of the coarsest level with attention, which is Plug-and-Play's own."""
    self_levels: Levels | None = None
    """Levels of the decoder all of whose self-attention is replaced; None for all from that same
    block on."""

    model_config = ConfigDict(serialize_by_alias=True)


class Context(Node):
    """How many frames of a long clip the networks see at once.

    Off where a spec has no ``context``: they see all. Otherwise a clip of more than ``frames``
    goes through them in windows (:func:`grainspec.plan.windows.frame_windows`), so that memory
    does not grow with its length. As MultiDiffusion (2302.08113) does it over space.
    """

    frames: Annotated[int, Field(ge=1, le=10_000)] = 16
    """Frames that the networks see at once, ``keys`` among them."""
    overlap: Annotated[int, Field(ge=0, le=10_000)] = 4
    """Frames that a window has in common with the next one, at least."""
    keys: Annotated[int, Field(ge=0, le=10_000)] = 2
    """Key frames, spread over the clip, that every window sees."""

    @model_validator(mode="after")
    def _windows_get_on(self) -> Context:
        if self.overlap + self.keys >= self.frames:
            message = (
                f"windows of {self.frames} frames, with `overlap {self.overlap}` "
                f"and `keys {self.keys}`, never get on"
            )
            cure = "`overlap` and `keys` together must be less than `frames`."
            raise refusal("G203", message, cure)
        return self


class SamplerChange(Node):
    """The settings of :class:`Sampler` that a variant gives anew; None for what stays."""

    method: SamplerMethod | None = None
    steps: Steps | None = None
    guidance: Guidance | None = None
    eta: Share | None = None
    seed: Seed | None = None


class Variant(Node):
    """Another edit of the same clip: what it says replaces what the spec says of the same.

    A statement about a region takes the place of the spec's own about it; prompts and settings
    that are not given stay. Clip, model, source prompt, regions, flow, injection and context are
    the spec's.
    """

    name: Name
    target: Prompt | None = None
    negative: Text | None = None
    edits: tuple[Change, ...] = ()
    attention: Attention = Attention()
    sampler: SamplerChange = SamplerChange()


class EditSpec(Node):
    """A whole edit: the clip, the words before and after, the regions, and what becomes of them.

    With ``variants`` it is several edits of one clip, and may itself be none: see
    :meth:`as_variant`. Specs are immutable, and equal if they say the same.

    >>> from grainspec import parse
    >>> spec = parse('grain 1 video "c" target "a bear" region r = all edit r -> "bear"')
    >>> spec.region("r").expression, spec.sampler.steps
    (All(), 50)
    """

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["target"]}, {"required": ["variants"]}]}
    )

    version: Literal[1] = 1
    video: Video
    model: Annotated[str, Field(min_length=1, max_length=1_000), WRITABLE] = DEMO
    """A folder or hub id of a Stable Diffusion checkpoint, or ``demo`` for the embedded one."""
    source: Text = ""
    target: Text = ""
    """What the edited clip shows. Empty only where every variant has a target of its own."""
    negative: Text = ""
    regions: tuple[Region, ...] = ()
    edits: tuple[Statement, ...] = ()
    attention: Attention = Attention()
    flow: Flow | None = None
    """Flow-guided attention; None for none."""
    inject: Inject | None = None
    """Features of the source clip in place of the edit's own; None for none."""
    context: Context | None = None
    """Windows over long clips; None for the whole clip at once."""
    sampler: Sampler = Sampler()
    controls: Annotated[tuple[Control, ...], Field(max_length=MAX_CONTROLS)] = ()
    blend: Blend = Blend()
    variants: Annotated[tuple[Variant, ...], Field(max_length=MAX_VARIANTS)] = ()

    @field_validator("version", mode="before")
    @classmethod
    def _version_is_a_number(cls, version: object) -> object:
        if isinstance(version, bool):  # Python takes true for 1
            raise ValueError("the version is a number")
        return version

    _folder: Path | None = PrivateAttr(default=None)

    @property
    def folder(self) -> Path | None:
        """The folder of the file that it was read from, where its relative paths start."""
        return self._folder

    def in_folder(self, folder: Path) -> EditSpec:
        """This spec, knowing the folder of its file."""
        self._folder = folder
        return self

    def _repr_html_(self) -> str:
        return str(
            import_module("grainspec.notebook").spec_html(self)
        )  # by name: no circle of imports

    def region(self, name: str) -> Region:
        """The region called ``name``; raises KeyError where there is none."""
        for region in self.regions:
            if region.name == name:
                return region
        raise KeyError(name)

    @property
    def changes(self) -> tuple[Edit, ...]:
        """The edits proper, which bind words, without what is kept and free."""
        return tuple(edit for edit in self.edits if isinstance(edit, Edit))

    @property
    def claims(self) -> tuple[Edit | Free, ...]:
        """Whatever may change: the edits proper, then what is free."""
        return (*self.changes, *(edit for edit in self.edits if isinstance(edit, Free)))

    @property
    def modulation(self) -> Modulation:
        """How attention is modulated: what ``attention`` says, and its profile for the model."""
        return self.attention.settled(self.model)

    @property
    def variant_names(self) -> tuple[str, ...]:
        """The names of the variants, in order."""
        return tuple(variant.name for variant in self.variants)

    def without_variants(self) -> EditSpec:
        """The spec as it stands outside its variants."""
        return self.replaced({}, variants=()) if self.variants else self

    def as_variant(self, name: str) -> EditSpec:
        """The edit that a variant makes of this spec, as a spec without variants.

        Raises KeyError where there is no variant of that name.

        >>> from grainspec import parse
        >>> spec = parse('''
        ... grain 1  video "wolf.mp4"  region wolf = masks("masks/wolf")
        ... variant pig   { target "a pig in the snow"    edit wolf -> "pig" }
        ... variant husky { target "a husky in the snow"  edit wolf -> "husky" }
        ... ''')
        >>> spec.as_variant("husky").target
        'a husky in the snow'
        """
        variant = next((variant for variant in self.variants if variant.name == name), None)
        if variant is None:
            raise KeyError(name)
        anew = {
            field: value
            for field in ("target", "negative")
            if (value := getattr(variant, field)) is not None
        }
        return self.replaced(
            variant.spans,
            **anew,
            variants=(),
            edits=_overridden(self.edits, variant.edits),
            attention=self.attention.replaced(variant.attention.spans, **_given(variant.attention)),
            sampler=self.sampler.replaced(variant.sampler.spans, **_given(variant.sampler)),
        )


def _overridden(edits: Sequence[Statement], changes: Sequence[Change]) -> tuple[Statement, ...]:
    """What stands of ``edits`` after ``changes``: what is said of a region again replaces it."""
    anew: dict[str, list[Statement]] = {change.region: [] for change in changes}
    for change in changes:
        if not isinstance(change, Without):
            anew[change.region].append(change)
    found: list[Statement] = []
    for edit in edits:
        if edit.region not in anew:
            found.append(edit)
        else:  # in its place, and once
            found += anew[edit.region]
            anew[edit.region] = []
    return (*found, *chain.from_iterable(anew.values()))


def _given(change: Attention | SamplerChange) -> dict[str, Any]:
    """The settings that are given."""
    return {name: value for name, value in change if value is not None}

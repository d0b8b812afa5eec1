"""The edit spec: what to edit, where and how strongly, as immutable Pydantic models.

The text of a ``.grain`` file, the Python builder and the JSON document are three ways to write one
:class:`EditSpec`. This file has the statements about regions, variants and the spec itself; the
blocks of settings are in :mod:`grainspec.model.settings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, cast

from pydantic import ConfigDict, Field, PrivateAttr, field_validator, model_validator

from grainspec.diagnostics import GrainError
from grainspec.model.algebra import MAX_DEPTH, Expression, Operators, Reference, height, require
from grainspec.model.declaration import HEAD, InText
from grainspec.model.demo_models import DEMO, demo_profile
from grainspec.model.names import WRITABLE, Name
from grainspec.model.nodes import Node, given
from grainspec.model.partial import Attention, SamplerChange
from grainspec.model.settings.attention import FrameScope, Modulation, NormScope, PhraseContext
from grainspec.model.settings.blend import Blend, BlendSpace
from grainspec.model.settings.context import Context
from grainspec.model.settings.control import Control, ControlKind
from grainspec.model.settings.flow import Flow, FlowMethod
from grainspec.model.settings.freeu import FreeU
from grainspec.model.settings.inject import Inject
from grainspec.model.settings.method import Method
from grainspec.model.settings.profiles import PROFILES, Profile
from grainspec.model.settings.sampler import Sampler, SamplerMethod
from grainspec.model.settings.tracking import Finding, Tracking
from grainspec.model.settings.values import MAX_LEVEL, AdapterName, Levels, ModelName
from grainspec.model.settings.video import Size, Video
from grainspec.model.shapes import FrameRange
from grainspec.model.statements import Times
from grainspec.model.validation import made, refusal, unfit
from grainspec.pasted import ShownByRepr, pasted

__all__ = [
    "BLOCKS",
    "DEMO",
    "MAX_CONTROLS",
    "MAX_LEVEL",
    "MAX_PROMPT",
    "MAX_VARIANTS",
    "MAX_WEIGHT",
    "PROFILES",
    "Attention",
    "Blend",
    "BlendSpace",
    "Block",
    "Change",
    "Context",
    "Control",
    "ControlKind",
    "Edit",
    "EditSpec",
    "Finding",
    "Flow",
    "FlowMethod",
    "FrameRange",
    "FrameScope",
    "Free",
    "FreeU",
    "Grain",
    "Inject",
    "Keep",
    "Levels",
    "Method",
    "Modulation",
    "NormScope",
    "PhraseContext",
    "Profile",
    "Region",
    "Sampler",
    "SamplerChange",
    "SamplerMethod",
    "Size",
    "Statement",
    "Tracking",
    "Variant",
    "Video",
    "Without",
]

MAX_WEIGHT = 4.0
MAX_PROMPT = 10_000
MAX_VARIANTS = 50
MAX_CONTROLS = 8

Text = Annotated[str, Field(max_length=MAX_PROMPT), WRITABLE]
Prompt = Annotated[str, Field(min_length=1, max_length=MAX_PROMPT), WRITABLE]
Phrase = Annotated[str, Field(min_length=1, max_length=1_000), WRITABLE]
Weight = Annotated[float, Field(ge=0, le=MAX_WEIGHT)]

Grain = Literal["class", "instance", "part"]


class Region(Operators, Node):
    """A named region.

    >>> from grainspec import REST, masks, region
    >>> left = region("left", masks("masks/left"))
    >>> left.name, REST - left
    ('left', Difference(items=(Rest(), Reference(name='left'))))
    """

    name: Name = Field(description="The name of the region.")
    expression: Expression = Field(description="The expression that selects its pixels.")

    def _reference(self) -> Reference:
        """The reference to this region, for use in expressions."""
        return made(Reference, name=self.name)

    @field_validator("expression")
    @classmethod
    def _not_too_deep(cls, expression: Expression) -> Expression:
        if height(expression) > MAX_DEPTH:
            cure = "Define a part of it as a separate region."
            message = f"the expression is nested more than {MAX_DEPTH} levels deep"
            raise refusal("G004", message, cure)
        return expression


class Edit(Node):
    """Bind words of the target prompt to a region.

    ``verb`` is ``edit`` to change what is there, or ``add`` to put something new on ``owner``.
    ``grain`` says whether the region is a whole class, one instance or a part; omit it where none
    of these applies (ground, sky).
    """

    model_config = ConfigDict(json_schema_extra=lambda schema: require("verb", schema))

    verb: Annotated[Literal["edit", "add"], HEAD] = Field(
        default="edit",
        description="`edit` changes what is in the region, `add` puts something new there.",
    )
    grain: Annotated[Grain | None, HEAD] = Field(
        default=None, description="Whether the region is a whole class, one instance or a part."
    )
    region: Annotated[Name, HEAD] = Field(description="The region that is edited.")
    owner: Annotated[Name | None, HEAD] = Field(
        default=None, description="The region that the part belongs to."
    )
    phrase: Annotated[Phrase, HEAD] = Field(
        description="What the region becomes, in words of the target prompt."
    )
    weight: Weight = Field(
        default=1.0,
        description="How strongly the region is attracted to its words and its own features; 1 is "
        "the strength set in `attention`. Strengths are clamped to 1.",
    )
    repel: Annotated[Weight | None, InText(absent="`weight`")] = Field(
        default=None,
        description="How strongly the region is pushed away from all other words and features.",
    )

    @model_validator(mode="after")
    def _owner_fits(self) -> Edit:
        if self.owner is not None and self.grain != "part":
            raise ValueError("only a `part` can have an owner")
        if self.verb == "add" and (self.grain != "part" or self.owner is None):
            raise ValueError("`add` needs a part and its owner: `add part hat of man -> …`")
        return self

    @property
    def repulsion(self) -> float:
        """``repel``, or ``weight`` if ``repel`` is not given."""
        return self.weight if self.repel is None else self.repel


class Keep(Node):
    """A region that must not change, like everything outside the edited regions."""

    model_config = ConfigDict(json_schema_extra=lambda schema: require("verb", schema))

    verb: Literal["keep"] = Field(default="keep", description="The kind of statement.")
    region: Name = Field(description="The region that must not change.")


class Free(Node):
    """A region that may change although no edit names it."""

    model_config = ConfigDict(json_schema_extra=lambda schema: require("verb", schema))

    verb: Literal["free"] = Field(default="free", description="The kind of statement.")
    region: Name = Field(description="The region that may change.")

    @property
    def grain(self) -> None:
        """Always None: it is neither class, instance nor part."""

    @property
    def owner(self) -> None:
        """Always None: it has no owner."""


class Without(Node):
    """In a variant: the spec's statement about a region is ignored."""

    model_config = ConfigDict(json_schema_extra=lambda schema: require("verb", schema))

    verb: Literal["without"] = Field(default="without", description="The kind of statement.")
    region: Name = Field(description="The region whose statement in the spec is ignored.")


Statement = Annotated[Edit | Keep | Free, Field(discriminator="verb")]
Change = Annotated[Edit | Keep | Free | Without, Field(discriminator="verb")]


class Variant(Node):
    """Another edit of the same clip: its statements replace the spec's.

    A statement about a region replaces the spec's statement about it. Prompts and settings that are
    not given are the spec's, as are clip, model, source prompt, regions and all other blocks.
    """

    name: Name = Field(description="The name of the variant.")
    target: Prompt | None = Field(
        default=None, description="What the edited clip shows; null for the spec's target."
    )
    negative: Text | None = Field(
        default=None,
        description="What the edited clip must not show; null for the spec's negative prompt.",
    )
    edits: tuple[Change, ...] = Field(
        default=(), description="Statements about regions; they replace the spec's."
    )
    attention: Attention = Field(
        default=Attention(), description="Settings of `attention` that differ from the spec's."
    )
    sampler: SamplerChange = Field(
        default=SamplerChange(), description="Settings of `sampler` that differ from the spec's."
    )
    method: Method | None = Field(
        default=None,
        description="The editing method, with all its settings; null for the spec's.",
    )


class EditSpec(ShownByRepr, Node):
    """An edit: the clip, the prompts, the regions, the statements about them, and the settings.

    With ``variants`` it is several edits of one clip, and need not be an edit itself: see
    :meth:`as_variant`. Specs are immutable and compared by content.

    >>> from grainspec import parse
    >>> spec = parse('grain 1 video "c" target "a bear" region r = all edit r -> "bear"')
    >>> spec.region("r").expression, spec.sampler.steps
    (All(), 50)
    """

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": ["target"]}, {"required": ["variants"]}]}
    )

    version: Literal[1] = Field(default=1, description="The version of the language.")
    video: Video = Field(description="The source clip.")
    model: ModelName = Field(
        default=DEMO,
        description="A folder, a safetensors file or the hub id of a Stable Diffusion, "
        "AnimateDiff or Wan checkpoint, or an embedded model: `demo`, `demo-image`, "
        "`demo-motion`, `demo-video`.",
    )
    motion_adapter: AdapterName = Field(
        default="",
        description="A folder or the hub id of a motion adapter (AnimateDiff) that is added to an "
        "image model of Stable Diffusion 1.x or 2.x; empty for none.",
    )
    source: Text = Field(default="", description="What the clip shows.")
    target: Text = Field(
        default="",
        description="What the edited clip shows, including the words of every edit; may be empty "
        "only if every variant has its own target.",
    )
    negative: Text = Field(default="", description="What the edited clip must not show.")
    regions: tuple[Region, ...] = Field(default=(), description="The named regions.")
    tracker: Tracking | None = Field(
        default=None,
        description="What follows tracked objects; null for the engine without weights.",
    )
    finder: Finding | None = Field(
        default=None, description="What finds objects by words; null for the default engine."
    )
    edits: tuple[Statement, ...] = Field(
        default=(), description="The statements about regions: `edit`, `add`, `keep` and `free`."
    )
    attention: Attention = Field(
        default=Attention(), description="How strongly attention is modulated, when and where."
    )
    flow: Flow | None = Field(
        default=None, description="Attention along the paths of optical flow; null for none."
    )
    inject: Inject | None = Field(
        default=None, description="Injection of the source clip's features; null for none."
    )
    freeu: FreeU | None = Field(
        default=None,
        description="Weights of a UNet's backbone and skip connections; null for its own.",
    )
    context: Context | None = Field(
        default=None, description="Windows over long clips; null for the whole clip at once."
    )
    sampler: Sampler = Field(default=Sampler(), description="How the edit is sampled.")
    method: Method | None = Field(
        default=None,
        description="An editing method of another paper; null for modulated attention.",
    )
    controls: Annotated[tuple[Control, ...], Field(max_length=MAX_CONTROLS)] = Field(
        default=(), description="Properties of the source clip that ControlNets preserve."
    )
    blend: Blend = Field(default=Blend(), description="How edited regions and source are combined.")
    variants: Annotated[tuple[Variant, ...], Field(max_length=MAX_VARIANTS)] = Field(
        default=(), description="Other edits of the same clip."
    )

    @field_validator("version", mode="before")
    @classmethod
    def _version_is_a_number(cls, version: object) -> object:
        if isinstance(version, bool):  # Python takes true for 1
            raise unfit("G202", "`1`")
        return version

    _folder: Path | None = PrivateAttr(default=None)
    _file: str = PrivateAttr(default="")

    @property
    def folder(self) -> Path | None:
        """The folder of the file that it was read from; relative paths start there."""
        return self._folder

    @property
    def file(self) -> str:
        """The name of the file that it was read from, such as ``edit.grain``; empty if of none.

        Its tracked masks are in a folder of this name.
        """
        return self._file

    def in_folder(self, folder: Path, file: str = "") -> EditSpec:
        """Return this spec after storing the folder and the name of its file."""
        self._folder, self._file = folder, file
        return self

    def __repr__(self) -> str:
        """The call of ``parse`` that makes the spec, if it can be written as text."""
        try:
            text = import_module("grainspec.text.printer").dumps(self)
        except (GrainError, TypeError, ValueError, AttributeError):  # a spec that is not valid
            return super().__repr__()
        return f"parse({pasted(text)})"

    def _repr_html_(self) -> str:
        return str(
            import_module("grainspec.notebook").spec_html(self)
        )  # by name: no circle of imports

    def region(self, name: str) -> Region:
        """The region called ``name``; raises KeyError for an unknown name."""
        for region in self.regions:
            if region.name == name:
                return region
        raise KeyError(name)

    @property
    def changes(self) -> tuple[Edit, ...]:
        """The statements that bind words to regions: ``edit`` and ``add``."""
        return tuple(edit for edit in self.edits if isinstance(edit, Edit))

    @property
    def claims(self) -> tuple[Edit | Free, ...]:
        """The statements about regions that may change: ``edit`` and ``add``, then ``free``."""
        return (*self.changes, *(edit for edit in self.edits if isinstance(edit, Free)))

    @property
    def modulation(self) -> Modulation:
        """The complete settings of attention: those given, and the profile's for the rest."""
        return self.attention.settled(self.model)

    @property
    def effective_context(self) -> Context | None:
        """`context` as it is used: only its frames, for methods with windows of their own.

        >>> from grainspec import parse
        >>> text = 'grain 1 video "c" target "a bear" region r = all edit r -> "bear" '
        >>> parse(text + "context { frames 4 } method tokenflow").effective_context
        Context(frames=4, overlap=0, keys=0)
        """
        if self.context is None or self.method is None or not self.method.has_own_windows:
            return self.context
        return self.context.replaced({}, overlap=0, keys=0)

    def for_profile(self, profile: Profile | None) -> EditSpec:
        """The spec with the profile that ``auto`` is for its model; None leaves it to its name.

        >>> from grainspec import parse
        >>> text = 'grain 1 video "c" model "a/b" target "a bear" region r = all edit r -> "bear"'
        >>> parse(text).for_profile("flow_matching").attention
        Attention(profile='flow_matching')
        """
        auto = self.attention.profile in {None, "auto"}
        if profile is None or not auto or demo_profile(self.model):
            return self
        attention = self.attention.replaced({}, profile=profile)
        return self.replaced({}, attention=attention)

    @property
    def variant_names(self) -> tuple[str, ...]:
        """The names of the variants, in order."""
        return tuple(variant.name for variant in self.variants)

    def without_variants(self) -> EditSpec:
        """The spec without its variants."""
        return self.replaced({}, variants=()) if self.variants else self

    def as_variant(self, name: str) -> EditSpec:
        """Apply a variant's changes; the result is a spec without variants.

        Raises KeyError for an unknown name.

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
        prompts = {
            field: value
            for field in ("target", "negative")
            if (value := getattr(variant, field)) is not None
        }
        return self.replaced(
            variant.spans,
            **prompts,
            variants=(),
            edits=_overridden(self.edits, variant.edits),
            attention=self.attention.replaced(variant.attention.spans, **given(variant.attention)),
            sampler=self.sampler.replaced(variant.sampler.spans, **given(variant.sampler)),
            method=variant.method or self.method,
        )


def _overridden(edits: Sequence[Statement], changes: Sequence[Change]) -> tuple[Statement, ...]:
    """The statements about regions after a variant's ``changes`` have replaced some of them."""
    replacing: dict[str, list[Statement]] = {change.region: [] for change in changes}
    for change in changes:
        if not isinstance(change, Without):
            replacing[change.region].append(change)
    result: list[Statement] = []
    for edit in edits:
        if edit.region not in replacing:
            result.append(edit)
        else:  # in its place, and once
            result += replacing[edit.region]
            replacing[edit.region] = []
    return (*result, *chain.from_iterable(replacing.values()))


class Block(NamedTuple):
    """A statement with a block of settings; what else is known of it follows from its field."""

    model: type[Node]
    field: str
    """The field of :class:`EditSpec`, and of :class:`Variant` if a variant may contain it."""

    @property
    def in_variant(self) -> type[Node] | None:
        """The model of the same block in a variant."""
        info = Variant.model_fields.get(self.field)
        if info is None:
            return None
        return self.model if self.off else cast(type[Node], info.annotation)

    @property
    def several(self) -> bool:
        """Whether a spec may have more than one."""
        return bool(EditSpec.model_fields[self.field].default == ())

    @property
    def off(self) -> bool:
        """Whether it has no effect unless it is written, not even that of its defaults."""
        return EditSpec.model_fields[self.field].default is None

    @property
    def times(self) -> Times:
        """How often a spec may have it."""
        if self.several:
            return "any number"
        return "once" if EditSpec.model_fields[self.field].is_required() else "at most once"


BLOCKS = {
    "video": Block(Video, "video"),
    "tracker": Block(Tracking, "tracker"),
    "finder": Block(Finding, "finder"),
    "attention": Block(Attention, "attention"),
    "flow": Block(Flow, "flow"),
    "inject": Block(Inject, "inject"),
    "freeu": Block(FreeU, "freeu"),
    "context": Block(Context, "context"),
    "sampler": Block(Sampler, "sampler"),
    "method": Block(Method, "method"),
    "control": Block(Control, "controls"),
    "blend": Block(Blend, "blend"),
}
"""The statements with a block of settings, in the order in which they are printed."""

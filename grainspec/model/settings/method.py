"""The statement `method`: an editing method of another paper, in place of a process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Protocol, get_args

from pydantic import (
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from grainspec.model.declaration import (
    HEAD,
    Declaration,
    InText,
    describe_as_declared,
    owned,
    settings_of,
)
from grainspec.model.nodes import Node, given
from grainspec.model.numbers import percent_text
from grainspec.model.settings.sampler import ProcessName
from grainspec.model.settings.values import Percent
from grainspec.model.validation import refusal

MethodName = Literal[
    "fatezero", "video_p2p", "tokenflow", "controlvideo", "ground_a_video", "dmt", "dfvedit"
]

EditingName = ProcessName | MethodName
"""What makes an edit: a process, or a method in place of one."""

MethodRegions = Literal["off", "blend", "attention", "both"]
ReplacedWords = Literal["refine", "replace"]
UpdateCount = Annotated[int, Field(ge=0, le=1000)]
LearningRate = Annotated[float, Field(ge=0, le=1)]


class SourceMaps(NamedTuple):
    """How a method uses attention maps of the source clip: settings of :class:`Method`."""

    cross_steps: float
    self_steps: float
    words: ReplacedWords
    local_blend: float


SOURCE_MAPS: dict[MethodName, SourceMaps] = {
    "fatezero": SourceMaps(0.8, 0.8, "refine", 1.0),
    "video_p2p": SourceMaps(0.2, 0.5, "replace", 0.2),
}
"""The methods that do, with the defaults of their published code."""

REGIONS_AS_PUBLISHED: dict[MethodName, MethodRegions] = {
    **dict.fromkeys(get_args(MethodName), "off"),
    "ground_a_video": "both",
}
"""What each paper uses regions for: Ground-A-Video for boxes, the others have none."""

KEY_FRAME_INTERVAL = 8
"""Of so many frames one is a key frame of TokenFlow, as in its code."""

KeyFrameInterval = Annotated[
    Annotated[int, Field(ge=1, le=10_000)] | None,
    InText(
        absent=f"{KEY_FRAME_INTERVAL} for `tokenflow`; ⌊√F⌋ - 1 for F frames for `controlvideo`"
    ),
]

OWN_WINDOWS: frozenset[MethodName] = frozenset({"tokenflow", "controlvideo"})
"""The methods that divide a clip in their own ways, and take only `frames` from `context`."""


class OwnScope(NamedTuple):
    """What a method chooses itself, whatever `attention` says: the frames that are related."""

    frames: str
    """Those that self-attention covers, in words."""
    norm: Literal["each"] | None = None
    """Those of group norms, if the method chooses them, too."""


_KEY_FRAMES = "all key frames, whose tokens the other frames take"
_OWN_SCOPES: Mapping[str, tuple[OwnScope, OwnScope]] = {
    "tokenflow": (OwnScope(_KEY_FRAMES, "each"), OwnScope(_KEY_FRAMES, "each")),
    "controlvideo": (
        OwnScope("all frames"),
        OwnScope("all key frames, and between two of them these two"),
    ),
    "ground_a_video": (OwnScope("all frames"), OwnScope("all frames of a window")),
}
"""That of a clip at once, and that of one of more frames than those of `context`."""


def own_scope(method: str, windows: int) -> OwnScope | None:
    """What a method or process chooses itself, for a number of windows; None if it does not.

    >>> own_scope("controlvideo", 1).frames, own_scope("dmt", 1)
    ('all frames', None)
    """
    return _OWN_SCOPES[method][windows > 1] if method in _OWN_SCOPES else None


MASKED_METHODS = SOURCE_MAPS.keys() | {"ground_a_video"}
"""The methods whose attention a plan never modulates: regions are masks or boxes in it."""


def _of(*methods: MethodName, kind: str = "") -> InText:
    """Declare which methods have a setting.

    ``kind`` repeats that of its type: old versions of Pydantic keep one InText of a field.
    """
    return InText(kind=kind, owners=methods)


def _of_maps(setting: str) -> InText:
    """Declare a setting of the methods that use maps of the source, each with its own default."""
    defaults = {name: getattr(maps, setting) for name, maps in SOURCE_MAPS.items()}
    texts = {
        name: percent_text(value) if isinstance(value, float) else f"`{value}`"
        for name, value in defaults.items()
    }
    absent = ", ".join(f"{text} for `{name}`" for name, text in texts.items())
    return InText(absent=absent, owners=tuple(SOURCE_MAPS))


class Method(Node):
    """An editing method of another paper, for comparison: it takes the place of the process.

    Each setting declares which methods have it. Settings of other methods than ``name`` keep their
    defaults, and are not written down.

    >>> Method(name="dfvedit", regions="blend").modulates
    False
    """

    name: Annotated[MethodName, HEAD] = Field(
        description="The method, with the models it edits: `fatezero` (FateZero, 2303.09535), "
        "`video_p2p` (Video-P2P, 2303.04761) and `controlvideo` (ControlVideo, 2305.13077) for "
        "Stable Diffusion and AnimateDiff; `tokenflow` (TokenFlow, 2307.10373) and "
        "`ground_a_video` (Ground-A-Video, 2310.01107) for Stable Diffusion; `dmt` (DMT, "
        "2311.17009) for AnimateDiff; `dfvedit` (DFVEdit, 2506.20967) for flow-matching models.",
    )
    # The default is not that of REGIONS_AS_PUBLISHED. A spec says that its regions are edited and
    # all else is kept: no method breaks this unless the spec says so, with `regions off`.
    regions: Annotated[MethodRegions, _of(*get_args(MethodName))] = Field(
        default="both",
        description="What the edited regions are used for: nothing (`off`), as all methods but "
        "`ground_a_video` were published; to restore the source outside them, as `blend` says "
        "(`blend`); in the method's attention, which is modulated as `attention` says where the "
        "method has no masks of its own (`attention`); or `both`.",
    )
    cross_steps: Annotated[Percent | None, _of_maps("cross_steps")] = Field(
        default=None,
        description="Share of the sampling steps, from the first, in which attention to the words "
        "that both prompts have is the source clip's; rounded like `until` of `attention`.",
    )
    self_steps: Annotated[Percent | None, _of_maps("self_steps")] = Field(
        default=None,
        description="Share of the sampling steps, from the first, in which self-attention is the "
        "source clip's; with `fatezero`, only outside what is edited.",
    )
    words: Annotated[ReplacedWords | None, _of_maps("words")] = Field(
        default=None,
        description="Where attention to words that replace others comes from in these steps: from "
        "the edit itself (`refine`), or from the source clip's attention to the words that they "
        "replace (`replace`).",
    )
    reweight: Annotated[float, Field(ge=0, le=100), _of(*SOURCE_MAPS)] = Field(
        default=1.0,
        description="What attention to the words of an edit is multiplied by, together with the "
        "edit's `weight`.",
    )
    mask_threshold: Annotated[Percent, _of(*SOURCE_MAPS, kind="percent")] = Field(
        default=0.3,
        description="Where the words of edits are attended to: where attention to them is more "
        "than this share of its maximum on the frame. With 100% that is nowhere.",
    )
    local_blend: Annotated[Percent | None, _of_maps("local_blend")] = Field(
        default=None,
        description="Share of the sampling steps after which the source is restored where the "
        "words of edits are not attended to, or with `regions attention` outside the edited "
        "regions; `fatezero` ends it after 80% of the steps. 100% disables it.",
    )
    still: Annotated[Percent, _of("ground_a_video", kind="percent")] = Field(
        default=0.2,
        description="Optical flow below which a place is still and has the noise of the frame "
        "before, as a share of the largest between the two frames; 0% disables it.",
    )
    null_updates: Annotated[UpdateCount, _of("ground_a_video")] = Field(
        default=1,
        description="Updates of the unconditional embedding in each step and frame, by null-text "
        "optimisation; 0 disables it.",
    )
    grounded: Annotated[Percent, _of("ground_a_video", kind="percent")] = Field(
        default=1.0,
        description="Share of the steps, from the first, in which the edits are grounded by the "
        "boxes of their regions.",
    )
    motion: Annotated[Percent, _of("dmt", kind="percent")] = Field(
        default=0.4,
        description="Share of the steps, from the first, whose latents are optimised to move as "
        "the source does; 0% disables it.",
    )
    updates: Annotated[UpdateCount, _of("dmt")] = Field(
        default=10, description="Updates of the latents in each optimised step."
    )
    first_rate: Annotated[LearningRate, _of("dmt")] = Field(
        default=0.007, description="Learning rate in the first optimised step."
    )
    last_rate: Annotated[LearningRate, _of("dmt")] = Field(
        default=0.004,
        description="Learning rate in the last optimised step, reached evenly.",
    )
    low_frequencies: Annotated[int, Field(ge=1, le=64), _of("dmt")] = Field(
        default=4,
        description="Factor of the resizing that tells low frequencies, which the first latents "
        "have of the inversion, from high ones, which are new noise; 1 keeps all.",
    )
    restart: Annotated[Percent, _of("dmt", kind="percent")] = Field(
        default=1.0,
        description="Share of the steps, from the first, that are taken twice, the second time "
        "from new noise; the last never is.",
    )
    interval: Annotated[KeyFrameInterval, _of("tokenflow", "controlvideo")] = Field(
        default=None,
        description="One key frame in so many frames. `tokenflow` draws them anew at every step; "
        "`controlvideo` has them in clips with more frames than those of `context`, from the first "
        "frame on.",
    )
    falloff: Annotated[Literal["sigmoid", "linear"], _of("tokenflow")] = Field(
        default="sigmoid",
        description="How the tokens of the key frames before and after a frame are weighed: by the "
        "`sigmoid` of the later one's nearness, as in the paper, in which it weighs at least a "
        "half, or by the nearness itself (`linear`).",
    )
    smooth_from: Annotated[Percent, _of("controlvideo", kind="percent")] = Field(
        default=0.6,
        description="Share of the sampling steps after which the clip is smoothed, in two steps: "
        "every second frame becomes the middle of its neighbours. 60% of 50 steps are the steps 30 "
        "and 31, as in the paper; 100% disables it.",
    )
    middle: Annotated[Literal["flow", "mean"], _of("controlvideo")] = Field(
        default="flow",
        description="How the middle of two frames is made: along the optical `flow` between them "
        "(DIS of OpenCV), or as their `mean`.",
    )
    reinforce: Annotated[float, Field(ge=0, le=10), _of("dfvedit")] = Field(
        default=2.0,
        description="Factor of the embeddings of the edits' words in the target prompt (Embedding "
        "Reinforcement); 1 disables it.",
    )
    word_mask: Annotated[Percent, _of("dfvedit", kind="percent")] = Field(
        default=0.4,
        description="Where cross-attention to the edits' words, scaled to its range over the clip, "
        "is below this share, nothing changes (Implicit Cross Attention guidance); 0% disables it. "
        "If `regions` blends, the edited regions are used instead.",
    )

    model_config = ConfigDict(json_schema_extra=describe_as_declared)

    @property
    def blends(self) -> bool:
        """Whether the source is restored outside the edited regions."""
        return self.regions in {"blend", "both"}

    @property
    def modulates(self) -> bool:
        """Whether the regions are used in the method's attention."""
        return self.regions in {"attention", "both"}

    @property
    def follows_plan(self) -> bool:
        """Whether a plan modulates the method's attention, in which regions are not masks.

        >>> Method(name="dfvedit").follows_plan, Method(name="fatezero").follows_plan
        (True, False)
        """
        return self.modulates and self.name not in MASKED_METHODS

    @property
    def has_own_windows(self) -> bool:
        """Whether it takes only `frames` from `context`, not `overlap` and `keys`."""
        return self.name in OWN_WINDOWS

    @property
    def resolved(self) -> dict[str, Any]:
        """Its settings as JSON values, with the method's own defaults, but those of the clip.

        >>> Method(name="video_p2p").resolved["cross_steps"]
        0.2
        """
        settings = self.model_dump(mode="json", by_alias=True)
        if self.name in SOURCE_MAPS:
            settings |= self.source_maps._asdict()
        if self.name == "tokenflow" and self.interval is None:
            settings["interval"] = KEY_FRAME_INTERVAL
        return settings

    @property
    def source_maps(self) -> SourceMaps:
        """How the method uses maps of the source, with its own defaults; KeyError if it does not.

        >>> Method(name="video_p2p", self_steps=1).source_maps[:2]
        (0.2, 1.0)
        """
        values: dict[str, Any] = SOURCE_MAPS[self.name]._asdict()
        values |= {name: value for name, value in given(self).items() if name in values}
        return SourceMaps(**values)

    def _of_others(self) -> Iterator[Declaration]:
        """The settings that this method does not have."""
        settings = settings_of(type(self))
        own = owned(settings, self.name)
        return (declared for word, declared in settings.items() if word not in own)

    @model_serializer(mode="wrap")
    def _without_those_of_others(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        others = {key for other in self._of_others() for key in (other.field, other.key)}
        return {key: value for key, value in whole(self).items() if key not in others}

    @model_validator(mode="after")
    def _settings_are_its_own(self) -> Method:
        for other in self._of_others():
            if getattr(self, other.field) != other.default:
                whose = " and ".join(f"`method {method}`" for method in other.owners)
                message = f"`{other.keyword}` is a setting of {whose}, not of `method {self.name}`"
                raise refusal("G560", message, f"Remove `{other.keyword}`.", other.key)
        return self


class MayHaveMethod(Protocol):
    """A spec, or what is made of one."""

    @property
    def method(self) -> Method | None:
        """The method, if one takes the place of the process."""


def method_of(edit: MayHaveMethod) -> Method:
    """The method of a spec or a job that must have one; raises ValueError if it has none."""
    if edit.method is None:
        raise ValueError("the edit has no method")
    return edit.method

"""The settings of each block, declared once.

Each class is a block ``{ … }`` of the language, each field one of its settings: its keyword, kind,
range, default and meaning (see :mod:`grainspec.model.declaration`). After changing one, run
``python -m grainspec.generate``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    Tag,
    WithJsonSchema,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.fields import FieldInfo

from grainspec.model.algebra import Box, Colour
from grainspec.model.declaration import HEAD, InText
from grainspec.model.demo_models import demo_profile
from grainspec.model.layer_numbers import MAX_LAYER, as_ranges, without_ranges
from grainspec.model.names import IN_HOME, PathText
from grainspec.model.nodes import Node
from grainspec.model.shapes import FrameRange, Length, TokenRule
from grainspec.model.validation import refusal, unfit

MAX_LEVEL = 15

Side = Annotated[int, Field(ge=16, le=8192)]
Share = Annotated[float, Field(ge=0, le=1)]
"""A number from 0 to 1, written as a number."""
Percent = Annotated[float, Field(ge=0, le=1), InText(kind="percent")]
"""A number from 0 to 1, written as a percentage."""
PositivePercent = Annotated[float, Field(gt=0, le=1), InText(kind="percent")]
Timestep = Annotated[float, Field(ge=0, le=1_000_000)]
TimestepOffset = Annotated[int, Field(ge=0, le=100)]
Decay = Annotated[float, Field(ge=0, le=100)]
_Numbers = Annotated[
    tuple[Annotated[int, Field(ge=0, le=MAX_LEVEL)], ...],
    Field(min_length=1, max_length=MAX_LEVEL + 1),
]
Levels = Annotated[
    Annotated[Literal["all"], Tag("all")] | Annotated[_Numbers, Tag("levels")],
    Discriminator(lambda given: "all" if isinstance(given, str) else "levels"),
    InText(kind="levels"),
]
_LAYERS_IN_JSON: dict[str, Any] = {
    "type": "array",
    "items": {
        "anyOf": [
            {"type": "integer", "minimum": 0, "maximum": MAX_LAYER},
            {"type": "string", "pattern": r"^\d{1,3}\.\.\d{1,3}$"},
        ]
    },
    "minItems": 1,
    "maxItems": MAX_LAYER + 1,
}
_LayerNumbers = Annotated[
    tuple[Annotated[int, Field(ge=0, le=MAX_LAYER)], ...],
    Field(min_length=1, max_length=MAX_LAYER + 1),
    BeforeValidator(without_ranges),
    PlainSerializer(as_ranges, when_used="json"),
    WithJsonSchema(_LAYERS_IN_JSON),
]
Layers = Annotated[
    Annotated[Literal["all"], Tag("all")] | Annotated[_LayerNumbers, Tag("layers")],
    Discriminator(lambda given: "all" if isinstance(given, str) else "layers"),
    InText(kind="layers"),
]
Steps = Annotated[int, Field(ge=1, le=1000)]
Guidance = Annotated[float, Field(ge=0, le=100)]
Factor = Annotated[float, Field(gt=0, le=10)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
FrameCount = Annotated[int, Field(ge=0, le=10_000)]
ModelName = Annotated[str, Field(min_length=1, max_length=1_000), IN_HOME]
AdapterName = Annotated[str, Field(max_length=1_000), IN_HOME]
_RaftWeights = Annotated[PathText | None, InText(kind="path", absent="torchvision's, downloaded")]

Profile = Literal[
    "auto",
    "stable_diffusion",
    "videograin",
    "animatediff",
    "demo",
    "demo_video",
    "flow_matching",
    "flowanchor",
]
PhraseContext = Literal["isolated", "in_context"]
FrameScope = Literal["each", "first_last", "sparse_causal", "full"]
NormScope = Literal["auto", "each", "clip"]
SelfArea = Literal["share", "squared"]
Overlap = Literal["union", "sum"]
Outside = Literal["unmodulated", "repelled"]
Unconditional = Literal["negative_prompt", "empty_prompt"]
SamplerMethod = Literal["ddim", "dpmpp", "unipc", "deis"]
ProcessName = Literal["invert_and_sample", "flow_edit"]
MethodName = Literal[
    "fatezero", "video_p2p", "tokenflow", "controlvideo", "ground_a_video", "dmt", "dfvedit"
]
EditingName = ProcessName | MethodName
"""What makes an edit: a process, or a method in place of one."""
MethodRegions = Literal["off", "blend", "attention", "both"]
ReplacedWords = Literal["refine", "replace"]
OptionalProcess = Annotated[
    ProcessName | None,
    InText(absent="`flow_edit` for flow-matching models, `invert_and_sample` for all others"),
]
KeyFrameInterval = Annotated[
    Annotated[int, Field(ge=1, le=10_000)] | None,
    InText(absent="8 for `tokenflow`; ⌊√F⌋ - 1 for F frames for `controlvideo`"),
]
OptionalGuidance = Annotated[Guidance | None, InText(absent="`guidance`")]
NoiseCount = Annotated[int, Field(ge=1, le=64)]
UpdateCount = Annotated[int, Field(ge=0, le=1000)]
LearningRate = Annotated[float, Field(ge=0, le=1)]
Amplification = Annotated[float, Field(ge=0, le=10)]
ControlKind = Literal["canny", "depth", "pose", "lineart", "softedge", "normal", "zoe", "inpaint"]
Keypoints = Literal["body", "hands", "face", "full"]
DepthValues = Literal["auto", "inverse", "metric"]
BlendSpace = Literal["latents", "pixels", "both", "none"]
BlendEdges = Literal["hard", "soft"]
FlowMethod = Literal["dis", "raft"]
InjectedLayers = Literal["plug_and_play", "videograin"]
Fit = Literal["crop", "pad"]
TrackerEngine = Literal["colour", "sam2", "edgetam", "sam3"]
FinderEngine = Literal["grounding_dino", "owlv2", "sam3"]
_EngineWeights = Annotated[ModelName | None, InText(absent="the engine's default checkpoint")]


class Size(Node):
    """Width and height in pixels."""

    width: Side = Field(description="Width in pixels.")
    height: Side = Field(description="Height in pixels.")


class Video(Node):
    """The source clip: a video file, or a folder of numbered frames.

    Each chosen frame is cropped to ``crop``, then scaled and fitted to ``size`` as ``fit`` says.
    """

    path: Annotated[PathText, InText(kind="path", head=True)] = Field(
        description="The clip: a video file, or a folder of numbered images."
    )
    frames: Annotated[FrameRange | None, InText(absent="all")] = Field(
        default=None,
        description="The first and the last source frame, both included, counted from 0.",
    )
    step: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=1, description="Use every n-th of these frames."
    )
    fps: Annotated[float | None, Field(ge=0.1, le=1000), InText(absent="8")] = Field(
        default=None,
        description="For images: how many of them are one second. A video file has its own rate.",
    )
    size: Annotated[
        Size | None, InText(absent="the clip's aspect, as many pixels as the model was trained on")
    ] = Field(default=None, description="Width and height of the edited clip, in pixels.")
    crop: Annotated[Box | None, InText(absent="no crop")] = Field(
        default=None, description="A box that each frame is cropped to first."
    )
    fit: Fit = Field(
        default="crop",
        description="How a frame of another aspect fits `size`: scaled until it covers `size`, and "
        "cropped around its centre (`crop`); or scaled until it lies inside `size`, and surrounded "
        "by its repeated border pixels, which the result is without (`pad`).",
    )
    alpha: Annotated[Colour | None, InText(absent="black, with a warning")] = Field(
        default=None,
        description='The colour behind transparent pixels, such as `"#ffffff"`.',
    )

    @field_validator("crop")
    @classmethod
    def _crop_is_a_still_box(cls, crop: Box | None) -> Box | None:
        if crop is not None and crop.kind != "box":
            raise unfit("G202", "a box", f"{crop.kind}(…)")
        if crop is not None and crop.keyframes[0].frame is not None:
            raise ValueError("`crop` cannot move: give one box without `@ frame`")
        return crop


class Tracking(Node):
    """What follows the objects of ``track(…)`` and ``find(…)`` through the clip."""

    engine: Annotated[TrackerEngine, HEAD] = Field(
        default="colour",
        description="`colour` (by colour, texture and motion; needs no weights), or a model: "
        "`sam2` (SAM 2.1), `edgetam` (EdgeTAM) or `sam3` (SAM 3).",
    )
    weights: _EngineWeights = Field(
        default=None, description="A folder or hub id of the engine's weights; `colour` has none."
    )
    confidence: Percent = Field(
        default=0.5,
        description="The confidence below which a tracked frame is doubtful: `grain check` warns "
        "of it, `grain show` marks it.",
    )


class Finding(Node):
    """What finds the objects that the words of ``find(…)`` name."""

    engine: Annotated[FinderEngine, HEAD] = Field(
        default="grounding_dino",
        description="The model: `grounding_dino` (GroundingDINO), `owlv2` (OWLv2) or `sam3` "
        "(SAM 3).",
    )
    weights: _EngineWeights = Field(
        default=None, description="A folder or hub id of the engine's weights."
    )


class Modulation(Node):
    """The settings of ``attention`` with a value for each: how strongly, when and on which frames.

    >>> PROFILES["stable_diffusion"].until, PROFILES["demo"].until
    (0.3, 0.6)
    """

    cross: Share = Field(
        description="Strength of cross-attention modulation (between pixels and words)."
    )
    self_: Share = Field(
        alias="self",
        description="Strength of self-attention modulation (between pixels and pixels).",
    )
    frames: FrameScope = Field(
        default="full",
        description="Which frames a frame attends to: `full` (all), `each` (only itself), "
        "`first_last`, or `sparse_causal` (the first and the previous one).",
    )
    norm: NormScope = Field(
        default="auto",
        description="Where group norms take their statistics from: `each` (each frame alone) or "
        "`clip` (the whole clip, which reduces flicker and is what VideoGrain's code does); `auto` "
        "is `each` for the demo model and `clip` for all others.",
    )
    until: Percent = Field(
        description="Share of the sampling steps, from the first, that are modulated. With 30% of "
        "50 steps these are the first 15. Halves are rounded up, and any share above 0% is at "
        "least one step. Steps that `flow_edit` skips do not count."
    )
    until_timestep: Timestep = Field(
        default=0.0,
        description="Diffusion timestep, from 0 to T (usually 1000), below which nothing is "
        "modulated, regardless of `until`; for schedulers with unevenly spaced steps.",
    )
    decay: Decay = Field(description="Exponent p of the schedule: the strength is (t / T)^p.")
    timestep_offset: TimestepOffset = Field(
        default=0,
        description="What is subtracted from the timestep t in (t / T)^p; VideoGrain's code "
        "subtracts 1.",
    )
    levels: Levels = Field(
        default="all",
        description="Which levels of the network are modulated, 0 being the finest.",
    )
    phrases: PhraseContext = Field(
        description="Whether an edit's words are encoded by themselves (`isolated`) or within the "
        "prompt (`in_context`)."
    )
    unconditional: Unconditional = Field(
        default="negative_prompt",
        description="Which prompt cross-attention reads in the unconditional pass of guidance: the "
        "`negative_prompt`, or the `empty_prompt`, as in VideoGrain's code, in which only "
        "ControlNets read the negative prompt, and the target prompt without isolated phrases.",
    )
    unbound: Share = Field(
        description="How strongly edited regions are pushed away from the prompt's tokens that no "
        "edit binds (articles, words about the rest, the start and end tokens), as a share of the "
        "edit's `repel`: 1 is as strong as for other edits' words, as in the paper's code; 0 "
        "disables it. Lower values fit the edit better to its surroundings, but let more of them "
        "leak into it."
    )
    outside: Outside = Field(
        default="unmodulated",
        description="What happens to latent tokens of no region: nothing (`unmodulated`), or they "
        "are `repelled` by all latent tokens and words, as if their region had no area and no "
        "words, which flattens their attention; `free` regions, too, are repelled by all words "
        "then. So it is in VideoGrain's code.",
    )
    self_area: SelfArea = Field(
        default="share",
        description="By how much a region's area weakens self-attention modulation: with the share "
        "A of all keys that share a region with a latent token, by the factor 1 − A (`share`), or, "
        "with `frames full`, by 1 − A / F for F frames (`squared`, since VideoGrain's code divides "
        "the number of keys by F²).",
    )
    overlap: Overlap = Field(
        default="union",
        description="How overlapping regions count in these areas: latent tokens that share "
        "several regions count once (`union`), or once for each of them (`sum`, as in VideoGrain's "
        "code; an area of more than the whole is the whole).",
    )
    resize: TokenRule = Field(
        default="nearest",
        description="Which latent tokens belong to a region: those whose centre is in it "
        "(`nearest`), those whose top left corner is (`corner`, as in VideoGrain's code), those "
        "with at least the share `threshold` of their pixels in it (`area`), or those with any "
        "pixel in it (`any`, for parts so small that they vanish at coarse levels).",
    )
    threshold: PositivePercent = Field(
        default=0.5, description="The share of a token's pixels that `resize area` requires."
    )
    layers: Layers = Field(
        default="all",
        description="For transformers: which of their blocks are modulated, 0 being the first.",
    )
    columns: Share = Field(
        default=0.0,
        description="For video transformers: how strongly the scores of an edit's words are also "
        "pulled to their extremes over all latent tokens (over the columns of cross-attention), up "
        "where the edit is and down elsewhere, as in FlowAnchor (2604.22586). The strength is "
        "`columns` times the edit's `weight` times the schedule (t / T)^`decay`.",
    )

    model_config = ConfigDict(serialize_by_alias=True)


PROFILES = {
    "stable_diffusion": Modulation(
        cross=1, self=0.3, until=0.3, decay=5, phrases="isolated", unbound=1
    ),
    "videograin": Modulation(
        cross=1,
        self=0.3,
        until=0.3,
        decay=5,
        timestep_offset=1,
        levels=(1, 2, 3),
        phrases="isolated",
        unbound=1,
        outside="repelled",
        self_area="squared",
        overlap="sum",
        resize="corner",
        unconditional="empty_prompt",
    ),
    "animatediff": Modulation(
        cross=1,
        self=0.3,
        until=0.3,
        decay=5,
        phrases="isolated",
        unbound=1,
        frames="each",
        norm="each",
    ),
    "demo": Modulation(
        cross=1, self=0.3, until=0.6, decay=1, phrases="in_context", unbound=0.3, frames="each"
    ),
    "demo_video": Modulation(
        cross=0.6,
        self=0,
        until=1,
        until_timestep=600,
        decay=0,
        phrases="in_context",
        unbound=1,
    ),
    "flow_matching": Modulation(
        cross=0.3,
        self=0,
        until=1,
        until_timestep=600,
        decay=0,
        phrases="in_context",
        unbound=1,
        resize="any",
    ),
    "flowanchor": Modulation(
        cross=0.3,
        self=0,
        columns=0.3,
        until=1,
        until_timestep=600,
        decay=0,
        phrases="in_context",
        unbound=1,
        resize="any",
    ),
}
"""The settings of each profile.

``stable_diffusion`` has the constants of VideoGrain's code in the equations of its paper.
``videograin``, for comparison, does what the code does, to rounding, but for its faults; it is the
only profile that departs from the equations where the code does. ``animatediff`` is
``stable_diffusion`` with attention and norms of each frame alone, as motion modules were trained
with. ``demo`` has settings tuned on the demo model, ``demo_video`` on its video model,
``flowanchor`` the attention settings of FlowAnchor (2604.22586). ``flow_matching`` has FlowAnchor's
strength and its end at σ = 0.6. A latent token stands for 16 x 16 pixels of several frames in both,
hence ``resize any``; FlowAnchor has masks of latent frames, and does not say which of the clip's
frames count. No profile of video transformers pulls self-attention: on the demo's video model it
helps at no strength that was tried, keeps poses less from 0.02 on, and destroys figures at 0.2.
"""


class Profiled(Node):
    """The base of :class:`~grainspec.model.partial.Attention`: a profile that supplies defaults."""

    profile: Annotated[Profile | None, HEAD] = Field(
        default=None,
        description="The defaults of all other settings: `stable_diffusion` (the equations and "
        "constants of VideoGrain), `videograin` (what VideoGrain's code does, for comparison), "
        "`animatediff` (`stable_diffusion` within each frame, for models with motion modules), "
        "`demo` (tuned on the demo model), `demo_video` (tuned on the demo's video model), "
        "`flow_matching` (for flow-matching models, such as Wan), `flowanchor` (the attention of "
        "FlowAnchor, for comparison), or `auto`, the default: `demo` or `demo_video` for the demo "
        "models, `flow_matching` for flow-matching models, `animatediff` for models with motion "
        "modules, `stable_diffusion` for all others.",
    )

    def settled(self, model: str) -> Modulation:
        """The complete settings for a model: those given here, and the profile's for the rest.

        That a model is trained by flow matching, or has motion modules, does not follow from its
        name: see :meth:`grainspec.model.spec.EditSpec.for_profile`.
        """
        settings = given(self)
        profile = settings.pop("profile", "auto")
        if profile == "auto":
            profile = demo_profile(model) or "stable_diffusion"
        return PROFILES[profile].replaced({}, **settings)


def given(node: Node) -> dict[str, Any]:
    """The settings of a node that are not None."""
    return {name: value for name, value in node if value is not None}


class Sampler(Node):
    """How the edited latents are sampled."""

    method: Annotated[SamplerMethod, HEAD] = Field(
        default="ddim",
        description="DDIM, or one of the faster solvers of the same equation: DPM-Solver++ (2M), "
        "UniPC, DEIS. For flow-matching models DDIM is Euler's step, and `flow_edit` takes no "
        "other.",
    )
    steps: Steps = Field(
        default=50, description="Number of sampling steps, and of inversion steps."
    )
    guidance: Guidance = Field(
        default=7.5, description="Scale of classifier-free guidance; 1 disables it."
    )
    eta: Share = Field(
        default=0.0,
        description="For `ddim`: the share of each step's noise that is replaced by new noise, "
        "from 0 (none) to 1 (all of it).",
    )
    seed: Seed = Field(
        default=0,
        description="Seed of the noise that is drawn: by `eta` above 0, and by `flow_edit`.",
    )
    process: OptionalProcess = Field(
        default=None,
        description="How the edit is made: `invert_and_sample` (invert the clip to noise, then "
        "sample from it), or `flow_edit` (FlowEdit, 2412.08629: move the clip along the difference "
        "between the predictions for the target and the source prompt, without inversion; for "
        "flow-matching models).",
    )
    skip: Percent = Field(
        default=0.33,
        description="For `flow_edit`: share of the steps, from the noisiest, that are skipped, "
        "rounded like `until` of `attention`; a higher share keeps more of the source.",
    )
    source_guidance: Guidance = Field(
        default=5.0,
        description="For `flow_edit`: scale of classifier-free guidance of the source prompt; "
        "`guidance` is that of the target prompt.",
    )
    average: NoiseCount = Field(
        default=1,
        description="For `flow_edit`: number of noise samples in each step, over which the "
        "difference of predictions is averaged; each costs as much as the first.",
    )
    amplify: Amplification = Field(
        default=0.0,
        description="For `flow_edit`: how much the difference of predictions is amplified where it "
        "is largest, more so in longer clips: γ of FlowAnchor (2604.22586), which uses 1; 0 "
        "disables it. A single latent frame is not amplified.",
    )
    low_noise_guidance: OptionalGuidance = Field(
        default=None,
        description="For models of two experts, such as Wan 2.2 A14B: scale of guidance of the "
        "second expert, which denoises the less noisy steps.",
    )


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

KEY_FRAME_INTERVAL = 8
"""Of so many frames one is a key frame of TokenFlow, as in its code."""

MASKED_METHODS = SOURCE_MAPS.keys() | {"ground_a_video"}
"""The methods whose attention a plan never modulates: regions are masks or boxes in it."""


class Method(Node):
    """An editing method of another paper, for comparison: it takes the place of the process.

    A setting that only some methods have begins its description with their names:
    ``For `dfvedit`: …``. Those of other methods than ``name`` keep their defaults.

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
    regions: MethodRegions = Field(
        default="both",
        description="What the edited regions are used for: nothing, as the method was published "
        "(`off`); to restore the source outside them, as `blend` says (`blend`); in the method's "
        "attention, which is modulated as `attention` says where the method has no masks of its "
        "own (`attention`); or `both`.",
    )
    cross_steps: Annotated[
        Percent | None, InText(absent="80% for `fatezero`, 20% for `video_p2p`")
    ] = Field(
        default=None,
        description="For `fatezero`, `video_p2p`: share of the sampling steps, from the first, in "
        "which attention to the words that both prompts have is the source clip's; rounded like "
        "`until` of `attention`.",
    )
    self_steps: Annotated[
        Percent | None, InText(absent="80% for `fatezero`, 50% for `video_p2p`")
    ] = Field(
        default=None,
        description="For `fatezero`, `video_p2p`: share of the sampling steps, from the first, in "
        "which self-attention is the source clip's; with `fatezero`, only outside what is edited.",
    )
    words: Annotated[
        ReplacedWords | None, InText(absent="`refine` for `fatezero`, `replace` for `video_p2p`")
    ] = Field(
        default=None,
        description="For `fatezero`, `video_p2p`: where attention to words that replace others "
        "comes from in these steps: from the edit itself (`refine`), or from the source clip's "
        "attention to the words that they replace (`replace`).",
    )
    reweight: Annotated[float, Field(ge=0, le=100)] = Field(
        default=1.0,
        description="For `fatezero`, `video_p2p`: what attention to the words of an edit is "
        "multiplied by, together with the edit's `weight`.",
    )
    mask_threshold: Share = Field(
        default=0.3,
        description="For `fatezero`, `video_p2p`: where the words of edits are attended to: where "
        "attention to them is more than this share of its maximum on the frame. With 1 that is "
        "nowhere.",
    )
    local_blend: Annotated[
        Percent | None, InText(absent="100% (off) for `fatezero`, 20% for `video_p2p`")
    ] = Field(
        default=None,
        description="For `fatezero`, `video_p2p`: share of the sampling steps after which the "
        "source is restored where the words of edits are not attended to, or with `regions "
        "attention` outside the edited regions; `fatezero` ends it after 80% of the steps. 100% "
        "disables it.",
    )
    still: Percent = Field(
        default=0.2,
        description="For `ground_a_video`: optical flow below which a place is still and has the "
        "noise of the frame before, as a share of the largest between the two frames; 0% disables "
        "it.",
    )
    null_updates: UpdateCount = Field(
        default=1,
        description="For `ground_a_video`: updates of the unconditional embedding in each step and "
        "frame, by null-text optimisation; 0 disables it.",
    )
    grounded: Percent = Field(
        default=1.0,
        description="For `ground_a_video`: share of the steps, from the first, in which the edits "
        "are grounded by the boxes of their regions.",
    )
    motion: Percent = Field(
        default=0.4,
        description="For `dmt`: share of the steps, from the first, whose latents are optimised to "
        "move as the source does; 0% disables it.",
    )
    updates: UpdateCount = Field(
        default=10, description="For `dmt`: updates of the latents in each optimised step."
    )
    first_rate: LearningRate = Field(
        default=0.007, description="For `dmt`: learning rate in the first optimised step."
    )
    last_rate: LearningRate = Field(
        default=0.004,
        description="For `dmt`: learning rate in the last optimised step, reached evenly.",
    )
    low_frequencies: Annotated[int, Field(ge=1, le=64)] = Field(
        default=4,
        description="For `dmt`: factor of the resizing that tells low frequencies, which the first "
        "latents have of the inversion, from high ones, which are new noise; 1 keeps all.",
    )
    restart: Percent = Field(
        default=1.0,
        description="For `dmt`: share of the steps, from the first, that are taken twice, the "
        "second time from new noise; the last never is.",
    )

    interval: KeyFrameInterval = Field(
        default=None,
        description="For `tokenflow`, `controlvideo`: one key frame in so many frames. `tokenflow` "
        "draws them anew at every step; `controlvideo` has them in clips with more frames than "
        "those of `context`, from the first frame on.",
    )
    falloff: Literal["sigmoid", "linear"] = Field(
        default="sigmoid",
        description="For `tokenflow`: how the tokens of the key frames before and after a frame "
        "are weighed: by the `sigmoid` of the later one's nearness, as in the paper, in which it "
        "weighs at least a half, or by the nearness itself (`linear`).",
    )
    smooth_from: Percent = Field(
        default=0.6,
        description="For `controlvideo`: share of the sampling steps after which the clip is "
        "smoothed, in two steps: every second frame becomes the middle of its neighbours. 60% of "
        "50 steps are the steps 30 and 31, as in the paper; 100% disables it.",
    )
    middle: Literal["flow", "mean"] = Field(
        default="flow",
        description="For `controlvideo`: how the middle of two frames is made: along the optical "
        "`flow` between them (DIS of OpenCV), or as their `mean`.",
    )
    reinforce: Annotated[float, Field(ge=0, le=10)] = Field(
        default=2.0,
        description="For `dfvedit`: factor of the embeddings of the edits' words in the target "
        "prompt (Embedding Reinforcement); 1 disables it.",
    )
    word_mask: Percent = Field(
        default=0.4,
        description="For `dfvedit`: where cross-attention to the edits' words, scaled to its range "
        "over the clip, is below this share, nothing changes (Implicit Cross Attention guidance); "
        "0% disables it. If `regions` blends, the edited regions are used instead.",
    )

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

    def _of_others(self) -> Iterator[tuple[str, FieldInfo, tuple[str, ...]]]:
        """The settings that this method does not have, and the methods that do."""
        for setting, info in type(self).model_fields.items():
            methods = methods_of(info.description or "")
            if methods and self.name not in methods:
                yield setting, info, methods

    @model_serializer(mode="wrap")
    def _without_those_of_others(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        others = {key for name, info, _ in self._of_others() for key in (name, info.alias)}
        return {key: value for key, value in whole(self).items() if key not in others}

    @model_validator(mode="after")
    def _settings_are_its_own(self) -> Method:
        for setting, info, methods in self._of_others():
            if getattr(self, setting) != info.default:
                whose = " and ".join(f"`method {method}`" for method in methods)
                message = f"`{setting}` is a setting of {whose}, not of `method {self.name}`"
                raise refusal("G560", message, f"Remove `{setting}`.")
        return self


def methods_of(description: str) -> tuple[str, ...]:
    """The methods whose setting has this description; none for a setting of all methods.

    >>> methods_of("For `fatezero`, `video_p2p`: share of the steps.")
    ('fatezero', 'video_p2p')
    """
    begin, colon, _ = description.partition(": ")
    return tuple(re.findall(r"`(\w+)`", begin)) if colon and begin.startswith("For `") else ()


class Control(Node):
    """A property of the source clip, such as depth, that the edit preserves.

    A ControlNet makes it follow the property, or the model itself if it is VACE. ``kind`` is what
    is detected in every frame; it also decides the default ControlNet. ``inpaint``, for VACE, is
    the clip itself around the edited regions. ``clip`` is a video or folder of ready-made control
    images, one for each source frame.
    """

    kind: Annotated[ControlKind, HEAD] = Field(
        description="What is detected in every frame; it also decides the default ControlNet. "
        "`inpaint` detects nothing: VACE keeps the clip around the edited regions."
    )
    net: Annotated[
        ModelName | None,
        InText(
            absent="the kind's ControlNet for Stable Diffusion 1.5; for `pose` the demo model's own"
        ),
    ] = Field(default=None, description="A ControlNet's folder or hub id.")
    annotator: Annotated[
        ModelName | None,
        InText(
            absent="MiDaS for `depth`, ZoeDepth for `zoe`, `lllyasviel/Annotators` for the others; "
            "for `pose` the demo model's own"
        ),
    ] = Field(
        default=None,
        description="A folder or hub id of the detector: for `depth` and `zoe` a depth model of "
        "transformers, for the others weights of controlnet_aux.",
    )
    keypoints: Keypoints = Field(
        default="body",
        description="For `pose`: which joints of people are detected: those of the body, the "
        "`hands` or the `face` as well, or all of them (`full`).",
    )
    depth_values: DepthValues = Field(
        default="auto",
        description="For `depth` and `zoe`: what the annotator predicts: `inverse` (large values "
        "are near), `metric` (distances, large values are far), or `auto`: what its configuration "
        "says. Near is bright in the control images either way.",
    )
    clip: Annotated[PathText | None, InText(kind="path", absent="detected")] = Field(
        default=None,
        description="A video or folder of ready-made control images, one for each source frame; "
        "they are used instead of detection. For `inpaint`: masks, white where the clip is edited, "
        "instead of the edited regions.",
    )
    scale: Annotated[float, Field(ge=0, le=10)] = Field(
        default=1.0, description="Scale of the output of the ControlNet, or of VACE's blocks."
    )
    start: Percent = Field(
        default=0.0,
        alias="from",
        description="Share of the sampling steps after which the control begins.",
    )
    until: Percent = Field(
        default=1.0, description="Share of the sampling steps after which the control ends."
    )

    model_config = ConfigDict(serialize_by_alias=True)


class Blend(Node):
    """How the edited regions and the source are combined.

    With ``latents``, the source's latents are restored outside the edited regions after every step.
    With ``pixels``, its pixels are restored at the end, so they are bit-identical to the source.
    """

    space: BlendSpace = Field(
        default="latents",
        description="How the source is restored outside the edited regions: its `latents` after "
        "every step; its `pixels` at the end, which are then bit-identical to the source; `both`; "
        "or `none`.",
    )
    feather: Annotated[Length | None, InText(absent="0")] = Field(
        default=None,
        description="Distance over which the edit fades out around the edited regions, in source "
        "pixels or percent of the frame's shorter side; a hard edge by default.",
    )

    edges: BlendEdges = Field(
        default="hard",
        description="How pixels at the edges of tracked regions are blended: `hard`, or `soft`, by "
        "how much of each pixel the tracker's model takes for the object, in place of `feather`. "
        "Attention and latents are always hard.",
    )

    start: Percent = Field(
        default=0.0,
        alias="from",
        description="Share of the sampling steps before the source's latents are first restored "
        "outside the edited regions: with 25% of 40 steps, the first 10 steps are not blended.",
    )

    model_config = ConfigDict(serialize_by_alias=True)

    @field_validator("feather")
    @classmethod
    def _not_inwards(cls, feather: Length | None) -> Length | None:
        if feather is not None and feather.value < 0:
            raise unfit("G202", "a length of at least 0", str(feather), "Remove the minus sign.")
        return feather


class Flow(Node):
    """Attention along the paths of optical flow, after self-attention, so that moving objects keep
    their appearance.

    It is off unless a spec has ``flow``. As in FLATTEN (ICLR 2024); VideoGrain uses it at level 0.
    """

    levels: Levels = Field(
        default=(0,), description="Levels of the network with flow attention, 0 being the finest."
    )
    method: FlowMethod = Field(
        default="dis",
        description="How the source clip's optical flow is estimated: `dis` (OpenCV), or `raft` "
        "(torchvision, which must be installed).",
    )
    weights: _RaftWeights = Field(
        default=None,
        description="For `raft`: a safetensors file of torchvision's RAFT, or a folder with one.",
    )

    @model_validator(mode="after")
    def _weights_are_rafts(self) -> Flow:
        if self.weights is not None and self.method != "raft":
            raise refusal("G205", f"`method {self.method}` takes no `weights`", "Remove them.")
        return self


class Inject(Node):
    """Replace features of the edit by those of the source clip, to preserve structure and poses.

    It is off unless a spec has ``inject``. As in Plug-and-Play (Tumanyan et al., CVPR 2023), whose
    constants are the defaults. VideoGrain's code injects at other layers, and in at most 10 of 50
    steps when an edit has several regions: ``{ features 20%  self 20%  layers videograin }``.
    """

    features: Percent = Field(
        default=0.8,
        description="Share of the sampling steps, from the first, in which the decoder's residual "
        "blocks output the source clip's features; rounded like `until` of `attention`.",
    )
    self_: Percent = Field(
        default=0.5,
        alias="self",
        description="Share of the sampling steps, from the first, in which the decoder's "
        "self-attention uses the queries and keys of the source clip.",
    )
    layers: InjectedLayers = Field(
        default="plug_and_play",
        description="Where in the decoder features are replaced, unless levels are given. "
        "`plug_and_play`: in the second residual block of the coarsest level with attention, and "
        "in all self-attention from that block on. `videograin`, as in VideoGrain's code: in the "
        "first two residual blocks of that level and the first one of the next, and in the same "
        "self-attention, but of the finest level only in the first.",
    )
    feature_levels: Annotated[Levels | None, InText(absent="those of `layers`")] = Field(
        default=None,
        description="Levels of the decoder, 0 being the finest, in which the features of all "
        "residual blocks are replaced.",
    )
    self_levels: Annotated[Levels | None, InText(absent="those of `layers`")] = Field(
        default=None,
        description="Levels of the decoder in which all self-attention is replaced.",
    )

    model_config = ConfigDict(serialize_by_alias=True)


class FreeU(Node):
    """Weigh a UNet's backbone against its skip connections while the edit is sampled.

    It is off unless a spec has ``freeu``. FreeU (Si et al., CVPR 2024, 2309.11497); the defaults
    are its authors' for Stable Diffusion 1.5.
    """

    b1: Factor = Field(
        default=1.5,
        description="Factor of the backbone's features in the decoder's coarsest level; 1 leaves "
        "them.",
    )
    b2: Factor = Field(
        default=1.6, description="Factor of the backbone's features in the level after it."
    )
    s1: Factor = Field(
        default=0.9,
        description="Factor of the skip connection's low frequencies in the decoder's coarsest "
        "level; 1 leaves them.",
    )
    s2: Factor = Field(
        default=0.2,
        description="Factor of the skip connection's low frequencies in the level after it.",
    )


class Context(Node):
    """How many frames of a long clip the model processes at once.

    Without ``context`` it processes all frames at once. With it, a clip of more than ``frames``
    frames is processed in windows (:func:`grainspec.plan.windows.frame_windows`), so that memory
    does not grow with its length. MultiDiffusion (2302.08113) does the same over space.
    """

    frames: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=16, description="How many frames the model processes at once, key frames included."
    )
    overlap: FrameCount = Field(
        default=4,
        description="The least number of frames that a window shares with the next one; `overlap` "
        "and `keys` together are less than `frames`.",
    )
    keys: FrameCount = Field(
        default=2,
        description="How many key frames, evenly spaced from the first to the last frame of the "
        "clip, are added to every window, so that distant frames look alike; a single one is the "
        "first frame.",
    )

    @model_validator(mode="after")
    def _windows_advance(self) -> Context:
        if self.overlap + self.keys >= self.frames:
            message = (
                f"windows of {self.frames} frames with `overlap {self.overlap}` "
                f"and `keys {self.keys}` contain no new frame"
            )
            cure = "`overlap` and `keys` together must be less than `frames`."
            raise refusal("G203", message, cure)
        return self

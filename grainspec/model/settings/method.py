"""The statement `method`: an editing method of another paper, in place of a process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator
from pydantic.fields import FieldInfo

from grainspec.model.declaration import HEAD, InText
from grainspec.model.nodes import Node, given
from grainspec.model.settings.sampler import ProcessName
from grainspec.model.settings.values import Percent, Share
from grainspec.model.validation import refusal

MethodName = Literal[
    "fatezero", "video_p2p", "tokenflow", "controlvideo", "ground_a_video", "dmt", "dfvedit"
]

EditingName = ProcessName | MethodName
"""What makes an edit: a process, or a method in place of one."""

MethodRegions = Literal["off", "blend", "attention", "both"]
ReplacedWords = Literal["refine", "replace"]
KeyFrameInterval = Annotated[
    Annotated[int, Field(ge=1, le=10_000)] | None,
    InText(absent="8 for `tokenflow`; ⌊√F⌋ - 1 for F frames for `controlvideo`"),
]

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

"""The methods in the tables, for image models and for video transformers.

VideoGrain compares itself with FateZero, ControlVideo, TokenFlow, Ground-A-Video and Video-P2P on
one image model, and with DMT on a video model. Each stands here as published, and once more with
the regions of the spec; Ground-A-Video has regions as published. As in the paper (its section 4.1),
all methods of the image model have the same ControlNet, which tells them how the figures move, and
DMT has none. Ours and VideoGrain stand here without one, too.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from grainspec.model.settings.attention import FrameScope
from grainspec.model.settings.method import REGIONS_AS_PUBLISHED, SOURCE_MAPS, MethodName
from grainspec_runtime.bench.clip_methods import FLOW_EDIT
from grainspec_runtime.bench.methods import OFF, POSE, Method

WITH_MASKS = " + our masks"
UNPOSED = ", unposed"
clip = partial(Method, control=POSE)
unposed = partial(Method, control=None)
_flow = partial(unposed, sampler=FLOW_EDIT)

_PUBLISHED: tuple[tuple[str, MethodName, str], ...] = (
    ("FateZero", "fatezero", "arXiv 2303.09535"),
    ("ControlVideo", "controlvideo", "arXiv 2305.13077"),
    ("TokenFlow", "tokenflow", "arXiv 2307.10373, a key frame every 8 frames, of 8 every 4"),
    (
        "Ground-A-Video",
        "ground_a_video",
        "arXiv 2310.01107, with boxes around the regions; kept outside our masks, not the boxes",
    ),
    ("DMT", "dmt", "arXiv 2311.17009"),
    ("Video-P2P", "video_p2p", "arXiv 2303.04761, words of edits × 4, of an edited place × 2"),
    ("DFVEdit", "dfvedit", "arXiv 2506.20967"),
)
"""A name, the `method` of a spec, and the source."""
_SETTINGS: dict[str, dict[str, Any]] = {
    "video_p2p": {"reweight": 4.0},
    "ground_a_video": {"null_updates": 0},
}
"""Of Ground-A-Video, that of the published code's command line."""
_PLACE_WEIGHTS = {"video_p2p": 0.5}
"""VideoGrain compares itself with Video-P2P that re-weights two subjects by 4 and the place by 2.
Here the place's words have a weight only where the place is edited: as an edit they would also be
among those that local blend lets change. With our masks it is 4, as for all words of edits."""
_WITH_MASKS = {"video_p2p": "; all words of edits × 4"}
"""What else differs with our masks."""
_FRAMES: dict[str, FrameScope] = {"fatezero": "first_last", "video_p2p": "sparse_causal"}
"""The scopes nearest to the published ones, of itself and the middle frame, and of the first one.
The other methods have frames of their own."""
PUBLISHED_FREEU: dict[str, Any] = {"b1": 1.2, "b2": 1.5, "s1": 1.0, "s2": 1.0}
"""The factors of VideoGrain's code, where it uses FreeU."""
_VIDEO_ONLY = ("dmt", "dfvedit")
_SAMPLERS = {"dfvedit": {name: FLOW_EDIT[name] for name in ("guidance", "source_guidance")}}
"""The guidance that suits the demo's video model, as for FlowEdit."""
DFVEDIT_GUIDANCE = {"guidance": 15.0, "source_guidance": 5.0}
"""That of DFVEdit's paper, for CogVideoX."""


def _published() -> tuple[Method, ...]:
    methods: list[Method] = []
    for title, name, source in _PUBLISHED:
        made = Method(
            title,
            f"as published: {source}",
            {"frames": _FRAMES[name]} if name in _FRAMES else {},
            control=None if name in _VIDEO_ONLY else POSE,
            sampler=_SAMPLERS.get(name, {}),
        )
        settings: dict[str, Any] = {"name": name, **_SETTINGS.get(name, {})}
        regions = REGIONS_AS_PUBLISHED[name]
        methods.append(
            replace(
                made,
                technique={**settings, "regions": regions},
                place_weight=_PLACE_WEIGHTS.get(name, 1.0),
            )
        )
        if regions == "both":
            continue
        methods.append(
            replace(
                made,
                name=title + WITH_MASKS,
                about="the same, blended outside the regions and bound to them"
                + _WITH_MASKS.get(name, ""),
                technique={**settings, "regions": "both"},
            )
        )
    return tuple(methods)


IMAGE: tuple[Method, ...] = (
    clip("ours", "attention modulation with the model's own profile"),
    clip(
        "VideoGrain",
        "the profile `videograin`: the published code, with group norms over the clip",
        {"profile": "videograin", "norm": "clip"},
        stands_for="videograin",
        kind="image",
    ),
)
SMOOTHED: tuple[Method, ...] = (
    replace(
        IMAGE[0],
        name="ours, smoothed",
        about="the same with ControlVideo's smoothing: `smooth_from 80%`",
        sampler={"smooth_from": 0.8},
        kind="image",
    ),
)
"""Ours with what makes ControlVideo's clips steady."""
WITHOUT_POSES: tuple[Method, ...] = tuple(
    replace(
        method,
        name=method.name + UNPOSED,
        about="the same without a ControlNet, which no method of the paper is",
        control=None,
        kind="image",
    )
    for method in IMAGE
)
"""Those of :data:`IMAGE` that nothing tells how the figures move."""
VIDEO: tuple[Method, ...] = (
    _flow("ours", "FlowEdit with modulation by the model's own profile"),
    _flow(
        "FlowEdit",
        "as published: arXiv 2412.08629, without regions",
        OFF,
        everywhere=True,
        stands_for="flow_edit",
        kind="flow-matching video",
    ),
    _flow(
        "FlowEdit" + WITH_MASKS,
        "the same, blended outside the regions",
        OFF,
        stands_for="flow_edit",
        kind="flow-matching video",
    ),
    unposed(
        "FlowAnchor",
        "arXiv 2604.22586: rows and columns of cross-attention, and its amplified FlowEdit",
        {"profile": "flowanchor"},
        sampler={**FLOW_EDIT, "skip": 0.08, "amplify": 1.0},
        stands_for="flowanchor",
        kind="flow-matching video",
    ),
)
PUBLISHED = _published()
"""The methods that a spec names by `method`."""
OWN_GUIDANCE: tuple[Method, ...] = (
    unposed(
        "DFVEdit, guidance 15",
        "with the guidance of its paper, 15 and 5",
        sampler=DFVEDIT_GUIDANCE,
        technique={"name": "dfvedit", "regions": "off"},
    ),
)
"""A method with the guidance of its paper, where the demo's video model wants another."""
UNBLENDED: tuple[Method, ...] = tuple(
    replace(
        method,
        name=f"{method.name}, unblended",
        about="the same with nothing kept outside our masks: boxes for attention alone",
        technique={**method.technique, "regions": "attention"},
    )
    for method in PUBLISHED
    if method.technique is not None and method.technique["name"] == "ground_a_video"
)
"""Without our masks; what the paper keeps is the clip outside of all boxes."""
UNSMOOTHED: tuple[Method, ...] = tuple(
    replace(
        method,
        name=f"{method.name}, unsmoothed",
        about="the same with `smooth_from 100%`: what smoothing changes",
        technique={**method.technique, "smooth_from": 1.0},
    )
    for method in PUBLISHED
    if method.technique is not None
    and method.technique["name"] == "controlvideo"
    and method.technique["regions"] == "both"
)
OTHER_THRESHOLD: tuple[Method, ...] = tuple(
    replace(
        method,
        name=f"{method.name}, threshold 60 %",
        about="the same with `mask_threshold 60%`: nearly all attention of the demo's image model "
        "to a word is above the published 30% of its maximum",
        technique={**method.technique, "mask_threshold": 0.6},
    )
    for method in PUBLISHED
    if method.technique is not None
    and method.technique["name"] in SOURCE_MAPS
    and method.technique["regions"] == "off"
)
"""Those that find edits by attention to words, which is nowhere low in the demo's image model."""

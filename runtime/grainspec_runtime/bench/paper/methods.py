"""The methods in the tables, for image models and for video transformers.

VideoGrain compares itself with FateZero, ControlVideo, TokenFlow, Ground-A-Video and Video-P2P on
one image model, and with DMT on a video model. Each stands here as published, and once more with
the regions of the spec; Ground-A-Video has regions as published. As in the paper (its section 4.1),
all methods of the image model have the same ControlNet, which tells them how the figures move, and
DMT has none. Ours and VideoGrain stand here without one, too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from grainspec.diagnostics import GrainError
from grainspec.model.demo_models import demo_model
from grainspec.model.settings.attention import FrameScope
from grainspec.model.settings.method import REGIONS_AS_PUBLISHED, MethodName
from grainspec.model.settings.profiles import PROFILES
from grainspec_runtime.bench.case import Case
from grainspec_runtime.bench.clip_methods import FLOW_EDIT, PULL
from grainspec_runtime.bench.clips import RenderedCase
from grainspec_runtime.bench.methods import OFF, POSE, Method, refusal_of
from grainspec_runtime.prepare import prepare

Table = Literal["comparison", "temporal", "modulation", "settings"]
WITH_MASKS = " + our masks"
UNPOSED = ", unposed"
_clip = partial(Method, control=POSE)
_unposed = partial(Method, control=None)
_flow = partial(_unposed, sampler=FLOW_EDIT)

_PUBLISHED: tuple[tuple[str, MethodName, str], ...] = (
    ("FateZero", "fatezero", "arXiv 2303.09535"),
    ("ControlVideo", "controlvideo", "arXiv 2305.13077"),
    ("TokenFlow", "tokenflow", "arXiv 2307.10373"),
    ("Ground-A-Video", "ground_a_video", "arXiv 2310.01107, with boxes around the regions"),
    ("DMT", "dmt", "arXiv 2311.17009"),
    ("Video-P2P", "video_p2p", "arXiv 2303.04761, words of subjects × 4, of the place × 2"),
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
With our masks a smaller weight would also bind the place more weakly, so there it is 4, too."""
_FRAMES: dict[str, FrameScope] = {"fatezero": "first_last", "video_p2p": "sparse_causal"}
"""The scopes nearest to the published ones, of itself and the middle frame, and of the first one.
The other methods have frames of their own."""
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
                about="the same, blended outside the regions and bound to them",
                technique={**settings, "regions": "both"},
            )
        )
    return tuple(methods)


IMAGE: tuple[Method, ...] = (
    _clip("ours", "attention modulation with the model's own profile"),
    _clip(
        "VideoGrain",
        "the profile `videograin`: the published code",
        {"profile": "videograin"},
        stands_for="videograin",
    ),
)
WITHOUT_POSES: tuple[Method, ...] = tuple(
    replace(
        method,
        name=method.name + UNPOSED,
        about="the same without a ControlNet, which no method of the paper is",
        control=None,
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
    ),
    _flow(
        "FlowEdit" + WITH_MASKS,
        "the same, blended outside the regions",
        OFF,
        stands_for="flow_edit",
    ),
    _unposed(
        "FlowAnchor",
        "arXiv 2604.22586: rows and columns of cross-attention, and its amplified FlowEdit",
        {"profile": "flowanchor"},
        sampler={**FLOW_EDIT, "skip": 0.08, "amplify": 1.0},
        stands_for="flowanchor",
    ),
)
PUBLISHED = _published()
"""The methods that a spec names by `method`."""
OWN_GUIDANCE: tuple[Method, ...] = (
    _unposed(
        "DFVEdit, guidance 15",
        "with the guidance of its paper, 15 and 5",
        sampler=DFVEDIT_GUIDANCE,
        technique={"name": "dfvedit", "regions": "off"},
    ),
)
"""A method with the guidance of its paper, where the demo's video model wants another."""
_TEMPORAL: tuple[Method, ...] = tuple(
    made(f"scope {title}{suffix}", f"ours, where every frame attends to {what}", {"frames": scope})
    for made, suffix in ((_clip, ""), (_unposed, UNPOSED))
    for title, scope, what in (
        ("each", "each", "itself only"),
        ("first-last", "first_last", "the first and the last frame"),
        ("sparse", "sparse_causal", "the first and the previous frame"),
        ("full", "full", "all frames"),
    )
)


def _settings() -> tuple[Method, ...]:
    """VideoGrain's code with one of our choices in place of its own, all of them, or its options.

    The settings are those in which the profile `videograin` departs from `stable_diffusion`, which
    has the same constants in the equations of the paper.
    """
    code, equations = PROFILES["videograin"], PROFILES["stable_diffusion"]
    published = IMAGE[1]
    ours = {
        name: getattr(equations, name)
        for name in type(code).model_fields
        if getattr(code, name) != getattr(equations, name)
    }
    alone = (
        replace(
            published,
            name=f"VideoGrain, {name} {_as_text(value)}",
            about=f"{_as_text(value)} in place of {_as_text(getattr(code, name))}",
            attention={"profile": "videograin", name: value},
        )
        for name, value in ours.items()
    )
    return (
        *alone,
        replace(
            published,
            name="VideoGrain, all of these",
            about="the profile `stable_diffusion`: the paper's equations",
            attention={"profile": "stable_diffusion"},
        ),
        replace(
            published,
            name="VideoGrain, inject",
            about="with the source's features in the layers of VideoGrain's code",
            inject={"layers": "videograin"},
        ),
        replace(
            published,
            name="VideoGrain, flow, inject",
            about="with FLATTEN's attention and Plug-and-Play's features, as in its section 4.1",
            inject={"layers": "videograin"},
            flow=True,
        ),
        replace(published, name="VideoGrain, freeu", about="with FreeU, an option", freeu={}),
        replace(
            published,
            name="VideoGrain, late blend",
            about="blended from a quarter of the steps on",
            late=0.25,
        ),
    )


def _as_text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


SETTINGS = _settings()


def _modulation(ours: Method, *, flow_matching: bool) -> tuple[Method, ...]:
    """Ours with other parts of the modulation, named after it.

    Ours modulates both kinds of attention in image models, and cross-attention alone in the demo's
    video model, whose profile leaves self-attention as it is.
    """
    parts: dict[str, dict[str, float]] = {"cross only": {"self": 0.0}, "self only": {"cross": 0.0}}
    if flow_matching:
        parts = {"both": {"self": PULL}, "self only": {"cross": 0.0, "self": PULL}}
    parts["no modulation"] = OFF
    return tuple(
        replace(
            ours,
            name=f"{ours.name}, {title}",
            about=f"{ours.name} with modulation: {title}",
            attention={**ours.attention, **settings},
        )
        for title, settings in parts.items()
    )


@dataclass(frozen=True)
class Chosen:
    """The methods that a model runs, by table, and why it does not run the others."""

    tables: dict[Table, tuple[Method, ...]]
    not_run: dict[str, str]

    @property
    def methods(self) -> tuple[Method, ...]:
        """All methods, each once, ``ours`` first."""
        listed = [method for methods in self.tables.values() for method in methods]
        return tuple({method.name: method for method in listed}.values())

    def only(self, names: Set[str]) -> Chosen:
        """Keep the methods of these names, ours, and what a table compares its rows with."""
        compared = {method.name for method in self.tables["comparison"]}
        tables: dict[Table, tuple[Method, ...]] = {}
        for table, methods in self.tables.items():
            first, *others = methods or (None,)
            named = [method for method in others if method.name in names]
            own = table == "comparison" or any(method.name not in compared for method in named)
            tables[table] = (first, *named) if first and own else ()
        not_run = {name: reason for name, reason in self.not_run.items() if name in names}
        return Chosen(tables, not_run)

    def without(self, names: Set[str], other: str) -> Chosen:
        """Compare ours only with the methods that the model ``other`` has not run already.

        Ours without poses stays: DMT, which needs this, has none.
        """
        ours, *compared = self.tables["comparison"]
        unposed = WITHOUT_POSES[0].name
        kept = [method for method in compared if method.name not in names - {unposed}]
        repeated = {m.name: f"{other} runs it" for m in self.methods[1:] if m not in kept}
        tables: dict[Table, tuple[Method, ...]] = {
            "comparison": (ours, *kept),
            "temporal": (),
            "modulation": (),
            "settings": (),
        }
        return Chosen(tables, {**self.not_run, **repeated})


def choose(model: str, case: Case, *, flow_matching: bool) -> Chosen:
    """Choose the methods for a model, by preparing the case with each.

    Raises GrainError if not even ours can be prepared.
    """
    own = VIDEO if flow_matching else (*IMAGE, *WITHOUT_POSES)
    others = (*IMAGE[1:], *WITHOUT_POSES) if flow_matching else VIDEO[1:]
    ours = own[0]
    wanted: dict[Table, Sequence[Method]] = {
        "comparison": (*own, *PUBLISHED, *OWN_GUIDANCE),
        "temporal": () if flow_matching else _TEMPORAL,
        "modulation": tuple(
            method
            for base in (ours, *(() if flow_matching else (IMAGE[1], WITHOUT_POSES[0])))
            for method in (base, *_modulation(base, flow_matching=flow_matching))
        ),
        "settings": () if flow_matching else (IMAGE[1], *SETTINGS),
    }
    kind = "image" if flow_matching else "flow-matching video"
    not_run = {method.name: f"it is a method for {kind} models" for method in others}
    if flow_matching:
        reason = "a video transformer attends to all frames: it has no scope to choose"
        not_run |= {method.name: reason for method in _TEMPORAL}
        reason = "its settings are of attention within and between frames of image models"
        not_run |= {method.name: reason for method in SETTINGS}
    tables: dict[Table, tuple[Method, ...]] = {}
    with tempfile.TemporaryDirectory(prefix="grain-bench-") as place:
        RenderedCase(case).write(Path(place))
        for table, methods in wanted.items():
            able = []
            for method in methods:
                reason = method.missing or _refused(method, case, model, Path(place))
                if not reason:
                    able.append(method)
                elif method is ours:
                    prepare(method.spec(case, 2, model), Path(place))
                else:
                    not_run[method.name] = reason
            tables[table] = tuple(able)
    return Chosen(tables, not_run)


def _refused(method: Method, case: Case, model: str, place: Path) -> str:
    """Why a model cannot run a method; empty if it can."""
    try:
        prepare(method.spec(case, 2, model), place)
    except GrainError as error:
        return refusal_of(error)
    return ""


def is_flow_matching(model: str, noise: str) -> bool:
    """Whether a model is a flow-matching one: the demo's video model, or by its ``noise``.

    >>> is_flow_matching("demo-video", ""), is_flow_matching("demo-image", "")
    (True, False)
    """
    return demo_model(model) == "demo-video" or noise == "flow"

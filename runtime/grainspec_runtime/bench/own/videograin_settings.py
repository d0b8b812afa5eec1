"""The settings of VideoGrain's configurations, as statements of a spec.

What each key does is read off the code of https://github.com/knightyxp/VideoGrain (``test.py`` and
its pipeline). A key that no statement expresses, or none exactly, is reported with what is done
instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from grainspec.model.settings.control import ControlKind, Keypoints
from grainspec.model.spec import Flow, FreeU, Inject
from grainspec_runtime.bench.own.config_section import Section, is_folder, is_inside
from grainspec_runtime.bench.paper.methods import PUBLISHED_FREEU

_INVERSION_STEPS = 50
"""The code inverts in so many steps, whatever `num_inference_steps` is."""
_GUIDANCE = 7.0
"""That of the code for a configuration without `guidance_scale`."""
_LEVELS = {"1": 0, "2": 1, "4": 2, "8": 3}
"""The levels of `flow`, by the factors of `flatten_res`: what latents are divided by."""
_CONTROLS: dict[str, tuple[ControlKind, dict[str, Any]]] = {
    "canny": ("canny", {}),
    "depth": ("depth", {}),
    "depth_zoe": ("zoe", {"annotator": "Intel/zoedepth-nyu"}),
    "dwpose": ("pose", {}),
    "hed": ("softedge", {}),
    "normal": ("normal", {}),
    "openpose": ("pose", {}),
}
_OTHER_ANNOTATORS = {"dwpose": "poses", "normal": "normals"}
"""What the annotator of ours finds with another network than the code's."""
_WITHOUT_STATEMENT = ("mlsd", "scribble", "seg")
_CANNY = {"low_threshold": "100", "high_threshold": "200"}
_KEYPOINTS: dict[tuple[bool, bool], Keypoints] = {
    (False, False): "body",
    (True, False): "hands",
    (False, True): "face",
    (True, True): "full",
}
"""By `hand` and `face`."""
_NETS = r"(control_v11|sd-controlnet-)[\w-]+"
"""The ControlNets of lllyasviel on the hub, which the repository's scripts download."""
_KNOWN = {
    "dataset_config": (
        *("path", "prompt", "negative_promot", "layout_mask_dir", "layout_mask_order"),
        *("start_sample_frame", "n_sample_frame", "sampling_rate"),
    ),
    "control_config": (
        *("control_type", "pretrained_controlnet_path", "controlnet_conditioning_scale"),
        *("hand", "face", *_CANNY),
    ),
    "editing_config": (
        *("editing_prompts", "num_inference_steps", "guidance_scale", "sample_seeds"),
        *("use_pnp", "inject_step", "use_freeu", "flatten_res", "old_qk", "blending_percentage"),
        # without effect on the edit: the length is that of the clip, and the others are pictures
        # of attention, parameters that the code does not use, and what is always done
        *("clip_length", "vis_cross_attn", "cluster_inversion_feature"),
        *("modulated_percentage", "use_inversion_attention", "use_invertion_latents"),
    ),
    "model_config": (),
}
"""The settings that are read, or change nothing."""


@dataclass(frozen=True)
class Settings:
    """The settings of a configuration.

    model, negative: the statements; empty for none. sampler: the settings of `sampler`. control:
    the kind and the settings of `control`. own: `inject`, `flow` and `freeu`, None for those that
    are off. unfollowed: what no statement expresses, and what is done instead.
    """

    model: str
    negative: str
    sampler: dict[str, Any]
    control: dict[str, Any] | None
    own: dict[str, Any]
    unfollowed: tuple[str, ...]


def settings_of(config: Mapping[str, Any], base: Path) -> Settings:
    """Read a configuration whose paths start at ``base``; raises ValueError for an odd value."""
    data, editing = (Section.of(config, name) for name in ("dataset_config", "editing_config"))
    steps = editing.whole("num_inference_steps", _INVERSION_STEPS)
    unfollowed: list[str] = []
    if steps != _INVERSION_STEPS:
        done = f"VideoGrain's code inverts in {_INVERSION_STEPS} steps; here in as many"
        unfollowed.append(f"`num_inference_steps: {steps}` ({done})")
    model = Section(config).text("pretrained_model_path", "")
    if not is_inside(model):
        unfollowed.append(f"`pretrained_model_path: {model[:60]}` (it leads out of the data set)")
        model = ""
    sampler = {"steps": steps, "guidance": editing.number("guidance_scale", _GUIDANCE)}
    control = _control(Section.of(config, "control_config"), base, unfollowed)
    return Settings(
        Path(model).as_posix() if model else "",
        data.text("negative_promot", ""),
        sampler | {"seed": _seed(editing, unfollowed)},
        control,
        {
            "inject": _inject(editing, _made(editing, steps, unfollowed)),
            "flow": _flow(editing, unfollowed),
            "freeu": _freeu(editing, unfollowed),
        },
        (*unfollowed, *_unknown(config)),
    )


def _control(control: Section, base: Path, unfollowed: list[str]) -> dict[str, Any] | None:
    wanted = control.text("control_type", "")
    if not wanted:
        return None
    said = f"`control_type: {wanted}`"
    if wanted in _WITHOUT_STATEMENT:
        unfollowed.append(f"{said} (no `control` is of this kind; all methods edit without one)")
        return None
    if wanted not in _CONTROLS:
        names = ", ".join(f"`{name}`" for name in sorted([*_CONTROLS, *_WITHOUT_STATEMENT]))
        raise ValueError(f"invalid value `{wanted[:20]}` for `control_type`: one of {names}")
    kind, settings = _CONTROLS[wanted]
    if wanted in _OTHER_ANNOTATORS:
        what = _OTHER_ANNOTATORS[wanted]
        unfollowed.append(f"{said} (the {what} are those of the annotator of `control {kind}`)")
    if wanted == "canny" and any(control.text(key, it) != it for key, it in _CANNY.items()):
        used = " and ".join(_CANNY.values())
        unfollowed.append(f"`low_threshold` and `high_threshold` (they are {used} here)")
    settings = {"kind": kind, "net": _net(control, base), **settings}
    if kind == "pose":
        settings["keypoints"] = _KEYPOINTS[control.flag("hand"), control.flag("face")]
    return settings | {"scale": control.number("controlnet_conditioning_scale", 1.0)}


def _net(control: Section, base: Path) -> str | None:
    """A folder of the data set, or else lllyasviel's ControlNet of this name on the hub."""
    path = control.text("pretrained_controlnet_path", "")
    if not path:
        return None
    if is_folder(base, path):
        return Path(path).as_posix()
    if re.fullmatch(_NETS, Path(path).name):
        return f"lllyasviel/{Path(path).name}"
    cure = "put it there, or name one of lllyasviel's"
    raise ValueError(f"its ControlNet is not here: {path[:60]} ({cure})")


def _seed(editing: Section, unfollowed: list[str]) -> int:
    """The first seed; the code makes an edit for each."""
    if not editing.values.get("sample_seeds"):
        return 0
    first, *others = editing.texts("sample_seeds")
    if others:
        listed = ", ".join((first, *others))
        unfollowed.append(f"`sample_seeds: [{listed[:40]}]` (the first alone)")
    return Section({"sample_seeds": first}).whole("sample_seeds", 0)


def _made(editing: Section, steps: int, unfollowed: list[str]) -> int:
    """How many steps the code makes, which leaves out the first `blending_percentage` of them.

    It blends in every step that it makes.
    """
    share = editing.number("blending_percentage", 0.0)
    if share:
        done = f"VideoGrain's code leaves out the first {100 * share:g}% of the sampling steps"
        unfollowed.append(f"`blending_percentage: {share:g}` ({done}; here all are made)")
    return max(steps - int(steps * share), 1)


def _inject(editing: Section, steps: int) -> Inject | None:
    injected = editing.whole("inject_step", 0) if editing.flag("use_pnp") else 0
    share = min(injected / max(steps, 1), 1.0)
    return Inject(features=share, self=share, layers="videograin") if share else None


def _flow(editing: Section, unfollowed: list[str]) -> Flow | None:
    """Attention along the paths of RAFT's optical flow; those of DIS without torchvision."""
    if not editing.values.get("flatten_res"):
        return None
    factors = editing.texts("flatten_res")
    for factor in factors:
        if factor not in _LEVELS:
            known = ", ".join(_LEVELS)
            raise ValueError(f"invalid value `{factor[:20]}` for `flatten_res`: {known}")
    if (queries := editing.text("old_qk", "1")) != "1":
        done = "queries and keys are always those of self-attention"
        unfollowed.append(f"`old_qk: {queries[:20]}` ({done})")
    has_raft = find_spec("torchvision") is not None
    if not has_raft:
        done = "the optical flow is that of DIS; that of RAFT needs torchvision"
        unfollowed.append(f"`flatten_res` ({done})")
    levels = tuple(sorted({_LEVELS[factor] for factor in factors}))
    return Flow(levels=levels, method="raft" if has_raft else "dis")


def _freeu(editing: Section, unfollowed: list[str]) -> FreeU | None:
    if not editing.flag("use_freeu"):
        return None
    done = "VideoGrain's code has a factor for each pixel; `freeu` has one for all"
    unfollowed.append(f"`use_freeu: true` ({done})")
    return FreeU(**PUBLISHED_FREEU)


def _unknown(config: Mapping[str, Any]) -> list[str]:
    return [
        f"`{name}.{key[:40]}` (it is not read)"
        for name, known in _KNOWN.items()
        for key in Section.of(config, name).others(known)
    ]

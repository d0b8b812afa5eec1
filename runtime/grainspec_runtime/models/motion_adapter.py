"""Motion adapters (AnimateDiff) that a spec adds to an image model. Free of torch.

An adapter has the temporal layers of a UNet: ``MotionAdapter`` in diffusers. It is named in a
spec's ``motion_adapter``, beside the image model in ``model``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from grainspec.diagnostics import GrainError, fail
from grainspec.diagnostics.span import Span
from grainspec_runtime.models.claims import check_folder
from grainspec_runtime.models.config import read_json
from grainspec_runtime.models.folder import AddedMotion, ModelFolder
from grainspec_runtime.models.hub import download_cure, is_remote, place_of
from grainspec_runtime.models.weights import SUFFIX

EXAMPLE = '`motion_adapter "guoyww/animatediff-motion-adapter-v1-5-3"`'

_CONFIGURATION = ("config.json", "scheduler_config.json")
_WEIGHTS = (*_CONFIGURATION, "diffusion_pytorch_model.safetensors")

_MOVING = {"StableDiffusionPipeline": "AnimateDiffPipeline"}
"""What the pipeline of an image model becomes with a motion adapter."""


def with_motion_adapter(
    model: ModelFolder,
    adapter: str,
    base: Path,
    *,
    span: Span | None = None,
    online: bool = True,
) -> ModelFolder:
    """Add a motion adapter to an image model that is located: a folder or a hub id.

    Only configurations are read. Raises GrainError: G554 if the model or the adapter is of another
    kind, or they do not fit together; G502, G503 and G528 as for models; NotCached if something
    would have to be downloaded, unless ``online``.
    """
    moving = _MOVING.get(model.pipeline)
    if moving is None:
        raise _unfit(f"{model.name} is a {model.pipeline}", _OTHER_MODEL, span)
    folder = _folder(adapter, base, _CONFIGURATION, span, online)
    config = read_json(folder / "config.json", span)
    kind = config.get("_class_name")
    if kind != "MotionAdapter":
        message = f"{adapter} is a {kind}, not a MotionAdapter"
        raise _unfit(message, f"Name the folder or hub id of one, such as {EXAMPLE}.", span)
    unet = read_json(model.folder / "unet" / "config.json", model.span)
    _check_fit(adapter, config, unet, span)
    scheduler = folder / "scheduler_config.json"
    schedule = read_json(scheduler, span) if scheduler.is_file() else None
    return replace(model, motion=AddedMotion(adapter, folder, moving, config, schedule, span))


def find_motion_weights(model: ModelFolder, base: Path) -> ModelFolder:
    """Find the weights of a model's motion adapter, if any; those of a hub id are downloaded.

    Raises GrainError: G502 if there are no safetensors weights, G528 if the configuration claims
    more than they have.
    """
    motion = model.motion
    if motion is None:
        return model
    folder = _folder(motion.name, base, _WEIGHTS, motion.span, online=True)
    _require_weights(folder, motion)
    check_folder(folder, motion.span)
    return replace(model, motion=replace(motion, folder=folder))


def check_local_motion(model: ModelFolder, base: Path) -> None:
    """Raise GrainError if a local motion adapter lacks weights, or claims more than they have."""
    motion = model.motion
    if motion is not None and not is_remote(motion.name, base):
        _require_weights(motion.folder, motion)
        check_folder(motion.folder, motion.span)


def _require_weights(folder: Path, motion: AddedMotion) -> None:
    if not list(folder.glob(f"*{SUFFIX}")):
        message = f"{folder} has no safetensors weights"
        cure = "Pickle files (.bin) are not loaded, because they can run any program."
        raise fail("G502", message, cure, motion.span)


def _folder(
    adapter: str, base: Path, patterns: Sequence[str], span: Span | None, online: bool
) -> Path:
    place = place_of(
        adapter,
        base,
        patterns,
        what="the motion adapter",
        missing=f"Write the path of a folder or a hub id: {EXAMPLE}.",
        unreachable=download_cure('`motion_adapter "path/to/adapter"`'),
        span=span,
        online=online,
    )
    if place.is_file():
        message = f"{adapter} is a file, not a folder with a MotionAdapter"
        cure = (
            "Convert it with diffusers: `MotionAdapter.from_single_file(FILE)`, then "
            "`save_pretrained(FOLDER)`, and name the folder."
        )
        raise _unfit(message, cure, span)
    return place


def _check_fit(
    adapter: str, config: Mapping[str, Any], unet: Mapping[str, Any], span: Span | None
) -> None:
    """Raise GrainError (G554) if an adapter's layers are not those of a UNet."""
    if config.get("conv_in_channels"):
        message = f"{adapter} is for PIA, which is shown a picture"
        raise _unfit(message, f"Use an adapter of AnimateDiff: {EXAMPLE}.", span)
    channels = unet.get("block_out_channels") or [320, 640, 1280, 1280]
    for setting, its, wanted in (
        ("channels", config.get("block_out_channels", [320, 640, 1280, 1280]), channels),
        (
            "layers a block",
            _each(config.get("motion_layers_per_block", 2), len(channels)),
            _each(unet.get("layers_per_block", 2), len(channels)),
        ),
        (
            "groups a norm",
            config.get("motion_norm_num_groups", 32),
            unet.get("norm_num_groups", 32),
        ),
    ):
        if its != wanted:
            message = (
                f"{adapter} has {setting} {_shown(its)}, but the model's UNet {_shown(wanted)}"
            )
            raise _unfit(message, _OTHER_ADAPTER, span)
    if unet.get("mid_block_type", _MIDDLE) != _MIDDLE:
        message = f"the model's UNet has no {_MIDDLE}"
        raise _unfit(message, _OTHER_MODEL, span)


_MIDDLE = "UNetMidBlock2DCrossAttn"
_OTHER_MODEL = (
    "Motion adapters are for image models with the UNet of Stable Diffusion 1.x or 2.x; remove "
    "`motion_adapter`, or name another model in `model`."
)
_OTHER_ADAPTER = (
    "Use an adapter that was trained for this kind of model; those of AnimateDiff are for Stable "
    f"Diffusion 1.5: {EXAMPLE}."
)


def _each(value: Any, levels: int) -> list[Any]:
    return list(value) if isinstance(value, list) else [value] * levels


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _unfit(message: str, cure: str, span: Span | None) -> GrainError:
    return fail("G554", f"the motion adapter does not fit: {message}", cure, span)

"""Checkpoints in one safetensors file: identify them, and find the configuration that they lack.

The file has weights only. Its configuration (the sizes of the networks, the noise schedule, the
tokenizers) is that of a folder beside it with the same name, or else that of the published
checkpoint of its kind, from the local cache of the Hugging Face Hub or from the hub.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from grainspec.diagnostics import Diagnostic, GrainError, fail
from grainspec.diagnostics.span import Span
from grainspec_runtime.models.config import read_json
from grainspec_runtime.models.file_kinds import CheckpointKind, identify
from grainspec_runtime.models.folder import ModelFolder
from grainspec_runtime.models.hub import NotCached, place_of
from grainspec_runtime.models.weights import (
    PICKLES,
    SUFFIX,
    UnreadableWeights,
    WeightsHeader,
    read_header,
)

INDEX = "model_index.json"


def locate_file(
    name: str, path: Path, patterns: Sequence[str], span: Span | None, *, online: bool = True
) -> ModelFolder:
    """Read what a checkpoint in one file is, and find its configuration.

    ``patterns`` are the files of a configuration on the hub. Raises GrainError: G527 if the file is
    not a checkpoint, G503 if its configuration cannot be downloaded; NotCached if that would have
    to be downloaded, unless ``online``.
    """
    header = _header(path, span)
    kind = identify(header)
    if not isinstance(kind, CheckpointKind):
        raise fail("G527", f"{path} is {kind.name}", kind.cure, span)
    own = path.with_suffix("")
    assumed = not (own / INDEX).is_file()
    folder = _published(path, kind, patterns, span, online) if assumed else own
    if assumed and not online and not (folder / INDEX).is_file():
        raise NotCached([Diagnostic("G503", f"the configuration of {path} is not cached")])
    return ModelFolder(name, folder, read_json(folder / INDEX, span), span, header, assumed)


def _header(path: Path, span: Span | None) -> WeightsHeader:
    if path.suffix in PICKLES:
        message = f"{path} is a PyTorch pickle, which is not loaded: it can run any program"
        cure = f"If you trust it, convert it: {conversion(path)} (XL: StableDiffusionXLPipeline)."
        raise fail("G527", message, cure, span)
    try:
        return read_header(path)
    except UnreadableWeights as error:
        cure = error.cure
        if path.suffix != SUFFIX:
            cure = f'Name a checkpoint: `model "NAME{SUFFIX}"`, a folder, or a hub id.'
        raise fail("G527", f"the model {path} {error}", cure, span) from error


def _published(
    path: Path, kind: CheckpointKind, patterns: Sequence[str], span: Span | None, online: bool
) -> Path:
    """Return the folder of the published configuration of a kind, downloaded if necessary."""
    try:
        return place_of(
            kind.configuration,
            Path("/"),
            patterns,
            what="the configuration of",
            missing="",
            unreachable="",
            online=online,
        )
    except NotCached:
        raise
    except GrainError as error:
        reason = error.diagnostics[0].message.rpartition("cannot be downloaded: ")[2]
        message = (
            f"{path} is a {kind.name} checkpoint in one file, and its configuration, "
            f"that of {kind.configuration}, cannot be downloaded: {reason}"
        )
        wanted = " ".join(f'"{pattern}"' for pattern in patterns)
        cure = (
            "With a network, download the configuration to a folder of the same name: "
            f"`hf download {kind.configuration} --include {wanted} --local-dir "
            f"{path.with_suffix('')}`. Or convert the file: {conversion(path, kind.pipeline)}."
        )
        raise fail("G503", message, cure, span) from error


def conversion(path: Path, pipeline: str = "StableDiffusionPipeline") -> str:
    """Return the command that saves a single file as a folder, and the statement that names it."""
    folder = path.with_suffix("").as_posix()
    program = (
        f"from diffusers import {pipeline} as P; "
        f"P.from_single_file({path.as_posix()!r}).save_pretrained({folder!r})"
    )
    return f'`python -c "{program}"`, then write `model "{folder}"`'

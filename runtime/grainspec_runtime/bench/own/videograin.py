"""VideoGrain's layout: folders of frames and of masks, and configurations that name them.

A configuration (YAML) names the frames (`dataset_config.path`), one folder of masks for each region
(`layout_mask_dir`, `layout_mask_order`), and prompts with the words of each region in the same
order (`editing_config.editing_prompts`). Paths start at the repository's root. A region without
words, or with empty ones, is kept.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from grainspec import Builder, masks
from grainspec.cli.output import counted
from grainspec.diagnostics import GrainError
from grainspec.regular_file import read_bytes
from grainspec_runtime.bench.methods import failure_of
from grainspec_runtime.bench.own.layouts import ClipEdit, Found

_DEPTH = 5
"""A configuration lies in up to so many folders: `config/part_level/modification/NAME/…`."""
_PATTERNS = tuple("*/" * depth + "*.yaml" for depth in range(_DEPTH))
_MOST_BYTES = 100_000
_SIGN = b"layout_mask_dir"
_NULL = ("", "~", "null", "Null", "NULL")
_VERBS = {"class_level": "class_", "instance_level": "instance"}
"""The folders of the published configurations say which grain they edit."""


class VideoGrain:
    """VideoGrain's configurations with the clips and masks that they name."""

    name = "VideoGrain (configurations `*.yaml` with `dataset_config.layout_mask_dir`)"

    def find(self, folder: Path) -> Found | None:
        """Read all configurations of this form; entries whose files are missing are left out."""
        edits: list[ClipEdit] = []
        left_out: dict[str, str] = {}
        recognised = False
        for path in sorted({path for pattern in _PATTERNS for path in folder.glob(pattern)}):
            name = path.relative_to(folder).with_suffix("").as_posix()
            try:
                config = _config(path)
            except ValueError as error:
                recognised = True
                left_out[name] = f"unusable configuration: {error}"
                continue
            if config is None:
                continue
            recognised = True
            for number, prompt in enumerate(config["prompts"]):
                title = f"{name}-{number}" if len(config["prompts"]) > 1 else name
                try:
                    edits.append(ClipEdit(title, *_edit(config["data"], prompt, path, folder)))
                except GrainError as error:
                    left_out[title] = failure_of(error)
                except (OSError, TypeError, ValueError, KeyError) as error:
                    left_out[title] = f"unusable configuration: {error}"
        return Found(self.name, edits, left_out) if recognised else None


class _Loader(yaml.BaseLoader):  # type: ignore[misc]  # PyYAML has no types
    """Reads every scalar as text, and refuses aliases: a few lines of them can mean gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("aliases (`*name`) are not supported")
        node: yaml.Node | None = super().compose_node(parent, index)
        return node


def _config(path: Path) -> dict[str, Any] | None:
    """The clip's facts and the prompts; None for a file of another form.

    Raises ValueError for one of this form that cannot be read.
    """
    try:
        content = read_bytes(path, _MOST_BYTES)
    except (OSError, ValueError):
        return None
    try:
        read = yaml.load(content, _Loader)  # a BaseLoader makes text, lists and dicts
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        if _SIGN not in content:
            return None
        why = " ".join(str(error).split())
        if isinstance(error, RecursionError):
            why = "it is nested too deeply"
        raise ValueError(why) from error
    try:
        data, prompts = read["dataset_config"], read["editing_config"]["editing_prompts"]
        data["path"], data["layout_mask_dir"], data["layout_mask_order"]
    except (KeyError, TypeError):
        return None
    return {"data": data, "prompts": prompts} if isinstance(prompts, list) else None


def _edit(data: dict[str, Any], prompt: Any, path: Path, folder: Path) -> Any:
    """The spec of a prompt and the folder where its paths start."""
    target, *phrases = _texts(prompt, "a prompt")
    names = _texts(data["layout_mask_order"], "`layout_mask_order`")
    if len(phrases) > len(names) or not any(phrases):
        raise ValueError(f"{counted(len(phrases), 'phrase')} for {counted(len(names), 'mask')}")
    phrases += [""] * (len(names) - len(phrases))
    clip = _place(data["path"], "`path`")
    base = _base(clip, path, folder)
    first, step = _whole(data, "start_sample_frame", 0), _whole(data, "sampling_rate", 1)
    last = first + (_whole(data, "n_sample_frame", 8) - 1) * step
    builder = Builder(Path(clip).as_posix(), frames=(first, last), step=step)
    source = _text(data.get("prompt", ""), "`prompt`")
    builder = builder.source("" if source in _NULL else source).target(target)
    verb = next((_VERBS[part.name] for part in path.parents if part.name in _VERBS), "edit")
    for name, phrase in zip(names, phrases, strict=True):
        region = re.sub(r"\W", "_", name)
        region = region if re.match(r"[A-Za-z_]", region) else f"r_{region}"
        place = Path(_place(data["layout_mask_dir"], "`layout_mask_dir`")) / _place(name, "a mask")
        # the published code takes every pixel that is not black
        builder = builder.region(region, masks(place.as_posix(), threshold=1 / 255, scaled=True))
        builder = getattr(builder, verb)(region, phrase) if phrase else builder.keep(region)
    return builder.build(), base


def _place(value: Any, what: str) -> str:
    """A path inside the data set."""
    text = _text(value, what)
    if Path(text).is_absolute() or ".." in Path(text).parts or "\0" in text:
        raise ValueError(f"{what} leads out of the data set: `{text[:60]}`")
    return text


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{what} must be text")
    return value


def _texts(value: Any, what: str) -> list[str]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"{what} must be a list")
    return [_text(item, f"an item of {what}") for item in value]


def _whole(data: dict[str, Any], name: str, default: int) -> int:
    text = _text(data.get(name, str(default)), f"`{name}`")
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError(f"invalid value `{text[:20]}` for `{name}`: a whole number from 0")
    return int(text)


def _base(clip: str, path: Path, folder: Path) -> Path:
    """The folder at which a configuration's paths start: its own, or one of those above it."""
    for base in (folder, *path.resolve().parents[:_DEPTH]):
        if (base / clip).exists():
            return base
    raise ValueError(f"its clip is not here: {clip}")

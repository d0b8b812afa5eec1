"""VideoGrain's layout: folders of frames and of masks, and configurations that name them.

A configuration (YAML) names the frames (`dataset_config.path`), one folder of masks for each region
(`layout_mask_dir`, `layout_mask_order`), and prompts with the words of each region in the same
order (`editing_config.editing_prompts`). Paths start at the repository's root. A region without
words, or with empty ones, is kept. Its other settings are those of
:mod:`grainspec_runtime.bench.own.videograin_settings`.
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
from grainspec_runtime.bench.own.config_section import Section, is_inside, texts_of
from grainspec_runtime.bench.own.layouts import ClipEdit, Found
from grainspec_runtime.bench.own.videograin_settings import Settings, settings_of

_DEPTH = 5
"""A configuration lies in up to so many folders: `config/part_level/modification/NAME/…`."""
_PATTERNS = tuple("*/" * depth + "*.yaml" for depth in range(_DEPTH))
_MOST_BYTES = 100_000
_SIGN = b"layout_mask_dir"
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
            prompts = config["editing_config"]["editing_prompts"]
            for number, prompt in enumerate(prompts):
                title = f"{name}-{number}" if len(prompts) > 1 else name
                try:
                    edits.append(_edit(title, config, prompt, path, folder))
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
    """The content of a configuration; None for a file of another form.

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
    return read if isinstance(prompts, list) else None


def _edit(name: str, config: dict[str, Any], prompt: Any, path: Path, folder: Path) -> ClipEdit:
    """The edit of a prompt."""
    data = Section.of(config, "dataset_config")
    target, *phrases = texts_of(prompt, "a prompt")
    names = data.texts("layout_mask_order")
    if len(phrases) > len(names) or not any(phrases):
        raise ValueError(f"{counted(len(phrases), 'phrase')} for {counted(len(names), 'mask')}")
    phrases += [""] * (len(names) - len(phrases))
    clip = data.place("path")
    base = _base(clip, path, folder)
    first, step = data.whole("start_sample_frame", 0), data.whole("sampling_rate", 1)
    last = first + (data.whole("n_sample_frame", 8) - 1) * step
    builder = Builder(Path(clip).as_posix(), frames=(first, last), step=step)
    builder = builder.source(data.text("prompt", "")).target(target)
    verb = next((_VERBS[part.name] for part in path.parents if part.name in _VERBS), "edit")
    for mask, phrase in zip(names, phrases, strict=True):
        if not is_inside(mask):
            raise ValueError(f"a mask leads out of the data set: `{mask[:60]}`")
        place = Path(data.place("layout_mask_dir")) / mask
        region = re.sub(r"\W", "_", mask)
        region = region if re.match(r"[A-Za-z_]", region) else f"r_{region}"
        # the published code takes every pixel that is not black
        builder = builder.region(region, masks(place.as_posix(), threshold=1 / 255, scaled=True))
        builder = getattr(builder, verb)(region, phrase) if phrase else builder.keep(region)
    settings = settings_of(config, base)
    spec = _with(builder, settings).build()
    return ClipEdit(
        name, spec, base, own={"videograin": settings.own}, unfollowed=settings.unfollowed
    )


def _with(builder: Builder, settings: Settings) -> Builder:
    """The statements that all methods share."""
    if settings.model:
        builder = builder.model(settings.model)
    if settings.negative:
        builder = builder.negative(settings.negative)
    if settings.control:
        builder = builder.control(**settings.control)
    return builder.sampler(**settings.sampler)


def _base(clip: str, path: Path, folder: Path) -> Path:
    """The folder at which a configuration's paths start: its own, or one of those above it."""
    for base in (folder, *path.resolve().parents[:_DEPTH]):
        if (base / clip).exists():
            return base
    raise ValueError(f"its clip is not here: {clip}")

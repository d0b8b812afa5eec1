"""VideoGrain's layout: folders of frames and of masks, and configurations that name them.

A configuration (YAML) names the frames (`dataset_config.path`), one folder of masks for each region
(`layout_mask_dir`, `layout_mask_order`), and prompts with the words of each region in the same
order (`editing_config.editing_prompts`). Paths start at the repository's root.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from grainspec import Builder, masks
from grainspec.diagnostics import GrainError
from grainspec.regular_file import read_bytes
from grainspec_runtime.bench.methods import refusal_of
from grainspec_runtime.bench.own.layouts import ClipEdit, Found

_PATTERNS = ("*.yaml", "*/*.yaml", "*/*/*.yaml", "*/*/*/*.yaml")
_MOST_BYTES = 100_000
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
            config = _config(path)
            if config is None:
                continue
            recognised = True
            for number, prompt in enumerate(config["prompts"]):
                name = path.relative_to(folder).with_suffix("").as_posix()
                name = f"{name}-{number}" if len(config["prompts"]) > 1 else name
                try:
                    edits.append(ClipEdit(name, *_edit(config["data"], prompt, path, folder)))
                except GrainError as error:
                    left_out[name] = refusal_of(error)
                except (TypeError, ValueError, KeyError) as error:
                    left_out[name] = f"unusable configuration: {error}"
        return Found(self.name, edits, left_out) if recognised else None


def _config(path: Path) -> dict[str, Any] | None:
    """The clip's facts and the prompts; None for a file of another form."""
    try:
        content = yaml.safe_load(read_bytes(path, _MOST_BYTES))
        data, editing = content["dataset_config"], content["editing_config"]
        prompts = editing["editing_prompts"]
        data["path"], data["layout_mask_dir"], data["layout_mask_order"]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return None
    return {"data": data, "prompts": list(prompts)} if isinstance(prompts, list) else None


def _edit(data: dict[str, Any], prompt: list[Any], path: Path, folder: Path) -> Any:
    """The spec of a prompt and the folder where its paths start."""
    target, *phrases = (str(text) for text in prompt)
    names = [str(name) for name in data["layout_mask_order"]]
    if len(phrases) != len(names):
        raise ValueError(f"{len(phrases)} phrases for {len(names)} masks")
    base = _base(str(data["path"]), path, folder)
    first, step = int(data.get("start_sample_frame", 0)), int(data.get("sampling_rate", 1))
    last = first + (int(data.get("n_sample_frame", 8)) - 1) * step
    builder = Builder(Path(str(data["path"])).as_posix(), frames=(first, last), step=step)
    builder = builder.source(str(data.get("prompt") or "")).target(target)
    verb = next((_VERBS[part.name] for part in path.parents if part.name in _VERBS), "edit")
    for name, phrase in zip(names, phrases, strict=True):
        region = re.sub(r"\W", "_", name)
        region = region if re.match(r"[A-Za-z_]", region) else f"r_{region}"
        place = (Path(str(data["layout_mask_dir"])) / name).as_posix()
        builder = builder.region(region, masks(place, scaled=True))
        builder = getattr(builder, verb)(region, phrase)
    return builder.build(), base


def _base(clip: str, path: Path, folder: Path) -> Path:
    """The folder at which a configuration's paths start: its own, or one above it."""
    for base in (folder, *path.resolve().parents):
        if (base / clip).exists():
            return base
    raise ValueError(f"its clip is not here: {clip}")

"""What a family promises before a model of it is loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from grainspec.diagnostics import GrainError
from grainspec.model.spec import Inject
from grainspec_runtime.backbones.registry import families, find_model, native_size, pipelines
from grainspec_runtime.testing.family.registry import family_property, require
from grainspec_runtime.testing.family.subject import REPEATED, TARGET, Subject


@family_property("found")
def found(subject: Subject) -> None:
    """The family is found by the checkpoint's own class."""
    family, pipeline = subject.family, subject.located.pipeline
    require(pipeline in family.parts, "found", f"`parts` has no {pipeline}")
    require(family.name, "found", "the family has no name")
    both = set(family.weighted) & set(family.parts[pipeline])
    require(both, "found", f"no component of {pipeline} is in `weighted`: {[*family.weighted]}")
    if subject.registered:
        other = find_model(subject.model, Path())[1]
        require(other is family, "found", f"{subject.model} is found to be of {other.name}")
        require(pipelines()[pipeline] is family, "found", f"another family has {pipeline}, too")
        require(family in families(), "found", f"{family.name} is not registered")


@family_property("light")
def light(subject: Subject) -> None:
    """A checkpoint is described without torch, and reviewed without its tokenizer."""
    if not subject.registered:
        return
    _runs(
        "describing a checkpoint",
        "from grainspec_runtime.backbones.registry import describe, native_size\n"
        f"describe({subject.model!r}, Path()).tokenize('a red robot')\n"
        f"native_size({subject.model!r}, Path())\n",
        {"torch", "diffusers"},
    )
    _runs(
        "reviewing a checkpoint",
        "from grainspec_runtime.backbones.registry import find_model\n"
        f"found, family = find_model({subject.model!r}, Path())\n"
        "findings = list(family.review(found))\n"
        "assert findings == [], f'it warns: {findings[0]}'\n",
        {"torch", "diffusers", "transformers", "tokenizers", "huggingface_hub"},
    )


def _runs(what: str, code: str, heavy: set[str]) -> None:
    source = (
        f"import sys; from pathlib import Path\n{code}"
        f"loaded = sorted({heavy} & set(sys.modules))\n"
        "assert not loaded, f'it loads {loaded}'"
    )
    ended = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    last = (ended.stderr.strip().splitlines() or [""])[-1]
    require(ended.returncode == 0, "light", f"{what}: {last.removeprefix('AssertionError: ')}")


@family_property("described")
def described(subject: Subject) -> None:
    """The description has all that the compiler needs."""
    name, backbone = "described", subject.backbone
    require(
        backbone.name == subject.model, name, f"it is named {backbone.name}, not {subject.model}"
    )
    size = subject.family.native_size(subject.located)
    if subject.registered:
        known = native_size(subject.model, Path())
        require(known == size, name, f"the registry has the size {known}, the family {size}")
    require(
        size == backbone.native and size.size == backbone.native_size,
        name,
        f"`native_size` is {size}, that of the description {backbone.native}",
    )
    levels = set(range(backbone.level_count))
    unknown = sorted(set(backbone.attended_levels) - levels)
    require(not unknown, name, f"levels {unknown} attend, but there are {backbone.level_count}")
    spans = backbone.tokenize(TARGET)
    require(
        len(spans) == backbone.max_tokens,
        name,
        f"`tokenize` gives {len(spans)} text tokens, and `max_tokens` is {backbone.max_tokens}",
    )
    words = {TARGET[start:end] for start, end in spans if start < end}
    missing = {"green", "robot", "grass"} - words
    require(not missing, name, f"no text tokens have the words {sorted(missing)} of “{TARGET}”")
    require(
        spans[-1][0] == spans[-1][1],
        name,
        f"the last text token is padding, but has the characters {spans[-1]}",
    )


@family_property("text")
def text(subject: Subject) -> None:
    """Text tokens are where the checkpoint's own tokenizers put them."""
    from transformers import AutoTokenizer

    folder = subject.located.folder
    for part in sorted(subject.family.parts[subject.located.pipeline]):
        if not part.startswith("tokenizer") or not (folder / part).is_dir():
            continue
        tokenizer = AutoTokenizer.from_pretrained(folder / part)
        for prompt in (TARGET, REPEATED, "", "a Robot's 42 bears, café", "bear " * 90):
            if not tokenizer.is_fast:
                return
            encoded = tokenizer(
                prompt,
                padding="max_length",
                max_length=subject.backbone.max_tokens,
                truncation=True,
                return_offsets_mapping=True,
            )
            expected = [tuple(span) for span in encoded["offset_mapping"]]
            spans = [tuple(span) for span in subject.backbone.tokenize(prompt)]
            for place, (span, wanted) in enumerate(zip(spans, expected, strict=False)):
                require(
                    span == wanted or (span[0] == span[1] and wanted[0] == wanted[1]),
                    "text",
                    f"text token {place} of “{prompt[:60]}” has the characters {span} "
                    f"(“{prompt[slice(*span)]}”), but those of the {part} are {wanted} "
                    f"(“{prompt[slice(*wanted)]}”)",
                )


@family_property("refused")
def refused(subject: Subject) -> None:
    """What a model does not support is found before it is loaded."""
    spec, base = subject.spec(), Path()
    subject.family.check(spec, base, subject.located)
    impossible = spec.replaced({}, inject=Inject(feature_levels=(15,)))
    try:
        subject.family.check(impossible, base, subject.located)
    except GrainError:
        return
    require(False, "refused", "`check` accepts `feature_levels 15`, which no model has")

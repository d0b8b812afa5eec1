"""``grain plan``: what would be done to attention, before anything is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from grainspec.cli.output import Format, format_option, print_json
from grainspec.plan.diff import differences, differences_text
from grainspec.plan.facts import facts, facts_text
from grainspec.plan.save import save_plan
from grainspec.whole_file import whole_file
from grainspec_runtime.backbones.additions import Embedding
from grainspec_runtime.commands.spec_file import (
    SpecFile,
    embedding_option,
    set_option,
    variant_option,
    written,
)
from grainspec_runtime.prepare import Prepared
from grainspec_runtime.views.dense import dense_pictures


@click.command
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Save the plan here.")
@click.option(
    "--diff",
    type=click.Path(path_type=Path),
    help="Say what is different in this spec's plan; may be the same file.",
)
@click.option(
    "--dense",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write into this folder, for every level, a picture of a frame's pairs written out.",
)
@click.option("--diff-variant", metavar="NAME", help="Take this variant of the other spec.")
@variant_option
@embedding_option
@set_option
@format_option
def plan(
    spec: Path,
    output: Path | None,
    diff: Path | None,
    dense: Path | None,
    diff_variant: str | None,
    variant: str | None,
    embeddings: tuple[str, ...],
    sets: tuple[str, ...],
    format_: Format,
) -> None:
    """Compile a spec to a mask plan and print its facts: tokens, areas, strengths, words.

    No model is loaded; only its configuration and its tokenizer are read.

    \b
    Examples:
      grain plan edit.grain
      grain plan wolf.grain --variant husky --set attention.self=0.5
      grain plan edit.grain -o edit.plan.safetensors --format json
      grain plan edit.grain --dense pairs/
      grain plan edit.grain --diff other.grain
      grain plan wolf.grain --variant husky --diff wolf.grain --diff-variant pig
    """
    file = SpecFile.read(spec, sets)
    with file.explained():
        words = [Embedding.read(text) for text in embeddings]
        prepared = file.prepared(variant, words)
    if output:
        with written(output):
            save_plan(prepared.plan, output)
    pictures = _write_dense(prepared, dense) if dense else []
    file.report(prepared.warnings, format_)
    if diff or diff_variant:
        other = SpecFile.read(diff or spec)
        with other.explained():
            against = other.prepared(diff_variant, words)
        changes = differences(
            prepared.plan,
            against.plan,
            old_timesteps=prepared.timesteps,
            new_timesteps=against.timesteps,
        )
        if format_ == "json":
            print_json({"differences": [change.as_json() for change in changes]})
        else:
            print(differences_text(changes))
        return
    found: dict[str, Any] = facts(prepared.plan, timesteps=prepared.timesteps)
    windows = prepared.windows
    if len(windows) > 1:
        found["windows"] = [{"frames": w.frames, "weights": w.weights} for w in windows]
    if format_ == "json":
        found["diagnostics"] = [warning.as_json() for warning in prepared.warnings]
        found["pictures"] = [str(picture) for picture in pictures]
        print_json(found)
    else:
        print(facts_text(found))
        if len(windows) > 1:
            seen = len(windows[0].frames)
            print(
                f"\nin {len(windows)} windows of {seen} frames; in each, self-attention is as "
                "strong as its own areas say, not the clip's above"
            )
        for path in [*([output] if output else []), *pictures]:
            print(f"wrote {path}")


def _write_dense(prepared: Prepared, folder: Path) -> list[Path]:
    """One picture a modulated level, at the first step."""
    found = []
    for index, picture in dense_pictures(prepared.plan, prepared.timesteps[0]).items():
        path = folder / f"level{index}.png"
        with written(path):
            folder.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as partial:
                picture.save(partial, format="PNG")
        found.append(path)
    return found

"""``grain plan``: compile a spec and show how it would modulate attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from grainspec.cli.output import Format, format_option, print_json, say
from grainspec.cli.path_or_url import PathOrUrl
from grainspec.model.spec import Method
from grainspec.plan.diff import differences, differences_text
from grainspec.plan.facts import facts, facts_text
from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.method_windows import at_once
from grainspec.plan.save import save_plan
from grainspec.plan.windows import FrameWindow
from grainspec.whole_file import whole_file
from grainspec_runtime.commands.spec_file import (
    SpecFile,
    embedding_option,
    set_option,
    stdin_option,
    tracking_on_need,
    variant_option,
    written,
)
from grainspec_runtime.memory.estimate import memory_warnings, needs_of
from grainspec_runtime.models.additions import Embedding
from grainspec_runtime.passes import denoiser_passes, step_windows
from grainspec_runtime.prepare import Prepared
from grainspec_runtime.views.dense import dense_pictures


@click.command
@click.argument("spec", type=PathOrUrl())
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to save the plan to.")
@click.option(
    "--diff",
    type=PathOrUrl(),
    help="Compare with the plan of this spec, and show what differs; may be the same file.",
)
@click.option(
    "--dense",
    type=click.Path(path_type=Path, file_okay=False),
    help="Draw the attention modulation of one frame, query by key: one image per level, written "
    "to this folder; none where attention is not modulated.",
)
@click.option("--diff-variant", metavar="NAME", help="Use this variant of the spec in --diff.")
@variant_option
@embedding_option
@set_option
@stdin_option
@format_option
def plan(
    spec: Path | str,
    output: Path | None,
    diff: Path | str | None,
    dense: Path | None,
    diff_variant: str | None,
    variant: str | None,
    embeddings: tuple[str, ...],
    sets: tuple[str, ...],
    unsaved: bool,
    format_: Format,
) -> None:
    """Compile a spec to a mask plan, and show its text tokens, areas, strengths and schedule.

    Only the model's configuration and tokenizer are read; no weights are loaded. The memory that a
    run needs is estimated; if there is less, a warning says what to lower. Regions from clicks and
    words are tracked first if they have no current masks, as by `grain track`.

    SPEC may be a URL: it is fetched, with the files that it names.

    \b
    Examples:
      grain plan edit.grain
      grain plan wolf.grain --variant husky --set attention.self=0.5
      grain plan edit.grain -o edit.plan.safetensors --format json
      grain plan edit.grain --dense pairs/
      grain plan edit.grain --diff other.grain
      grain plan wolf.grain --variant husky --diff wolf.grain --diff-variant pig
    """
    file = SpecFile.read(spec, sets, unsaved=unsaved)
    tracked_now: list[str] = []
    tracking = replace(tracking_on_need(format_), made=tracked_now.extend)
    with file.explained():
        loaded = [Embedding.read(text) for text in embeddings]
        prepared = file.prepared(variant, loaded, tracking=tracking)
        needs = needs_of(prepared)
    warnings = [*prepared.warnings, *memory_warnings(prepared, needs)]
    if output:
        with written(output):
            save_plan(prepared.plan, output)
    pictures = _write_dense(prepared, dense) if dense else []
    file.print_findings(warnings, format_)
    if diff or diff_variant:
        other = SpecFile.read(diff or spec)
        with other.explained():
            prepared_other = other.prepared(diff_variant, loaded, tracking=tracking)
        changes = differences(
            prepared.plan,
            prepared_other.plan,
            old_timesteps=prepared.timesteps,
            new_timesteps=prepared_other.timesteps,
            old_modulates=prepared.modulates,
            new_modulates=prepared_other.modulates,
            old_scope=prepared.own_scope,
            new_scope=prepared_other.own_scope,
        )
        if format_ == "json":
            print_json(
                {
                    "differences": [change.as_json() for change in changes],
                    "tracked_now": tracked_now,
                }
            )
        else:
            say(differences_text(changes))
        return
    plan_facts: dict[str, Any] = facts(
        prepared.plan,
        timesteps=prepared.timesteps,
        modulates=prepared.modulates,
        scope=prepared.own_scope,
    )
    plan_facts["memory"] = needs.as_json()
    plan_facts["process"] = prepared.process
    plan_facts["denoiser_passes"] = denoiser_passes(prepared)
    windows = step_windows(prepared)
    if len(windows) > 1:
        plan_facts["windows"] = [_window_facts(window, prepared.plan) for window in windows]
    if format_ == "json":
        plan_facts["diagnostics"] = [warning.as_json() for warning in warnings]
        plan_facts["tracked_now"] = tracked_now
        plan_facts["pictures"] = [str(picture) for picture in pictures]
        print_json(plan_facts)
    else:
        say(facts_text(plan_facts))
        if len(windows) > 1:
            say(f"\nruns in {len(windows)} windows of {_lengths(windows, prepared)}")
        if prepared.process == "tokenflow" and len(prepared.windows) > 1:
            most = at_once(prepared.windows)
            say(f"\nkey frames are processed together, the other frames in batches of {most}")
        if not prepared.modulates and prepared.spec.method:
            say(f"\n{unmodulated(prepared.spec.method)}")
        say(f"\n{prepared.process}: {plan_facts['denoiser_passes']} passes through the denoiser")
        say(f"{needs}")
        for path in [*([output] if output else []), *pictures]:
            say(f"wrote {path}")


def _lengths(windows: Sequence[FrameWindow], prepared: Prepared) -> str:
    """How many frames windows have, and what sets their strengths."""
    lengths = sorted({len(window.frames) for window in windows})
    count = " to ".join(map(str, dict.fromkeys((lengths[0], lengths[-1]))))
    if prepared.own_scope and prepared.spec.method and prepared.spec.method.has_own_windows:
        return f"{count} frames"
    if len(prepared.plan.groups) < len(prepared.plan.frames):
        covered = max(len(_window_facts(it, prepared.plan)["frames"]) for it in windows)
        count = f"{count} latent frames ({covered} frames)"
    else:
        count = f"{count} frames"
    if not prepared.modulates:
        return count
    by = "each window sets its self-attention strengths by its own areas, not by the clip's areas"
    return f"{count}; {by} above"


def unmodulated(method: Method) -> str:
    """Say why a plan does not modulate a method's attention."""
    why = f"`regions {method.regions}`"
    if method.modulates:
        why = f"`method {method.name}` uses regions as masks of its own"
    return f"{why}: attention is not modulated"


def _window_facts(window: FrameWindow, plan: MaskPlan) -> dict[str, Any]:
    """The frames of a window, by index into the clip, and its weights.

    Where latent frames stand for several frames, also the latent frames, which have the weights.
    """
    frames = [frame for index in window.frames for frame in plan.groups[index]]
    latent = {"latent_frames": window.frames} if len(frames) > len(window.frames) else {}
    return {"frames": frames, **latent, "weights": window.weights}


def _write_dense(prepared: Prepared, folder: Path) -> list[Path]:
    """Write one image per modulated level, at the first step; returns the paths."""
    paths: list[Path] = []
    if not prepared.modulates:
        return paths
    for index, picture in dense_pictures(
        prepared.plan, prepared.timesteps[0], words_only=prepared.own_scope is not None
    ).items():
        path = folder / f"level{index}.png"
        with written(path):
            folder.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as partial:
                picture.save(partial, format="PNG")
        paths.append(path)
    return paths

"""``grain track``: make the masks of regions from clicks and words."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import click

from grainspec.checks.files import check_files
from grainspec.checks.tracked_masks import check_tracked_masks
from grainspec.cli.output import Format, counted, format_option, print_json, say
from grainspec.diagnostics import GrainError, suggestion, visible
from grainspec.model.spec import EditSpec
from grainspec.regions.shade_findings import listed
from grainspec.regions.tracked.labels import image_name
from grainspec.text.foreign_engines import engine_and_weights
from grainspec.text.override import override
from grainspec_runtime.commands.progress import Shown, progress_bars, progress_option
from grainspec_runtime.commands.spec_file import SpecFile, set_option, stdin_option
from grainspec_runtime.device import known_device
from grainspec_runtime.tracking.bake import Tracked, TrackOptions, ensure_tracked
from grainspec_runtime.tracking.choices import EngineChoice
from grainspec_runtime.tracking.registry import FINDERS, TRACKERS
from grainspec_runtime.views.doubts import Doubts


@click.command
@click.argument("spec", type=click.Path(path_type=Path))
@click.option(
    "--only",
    metavar="REGION",
    multiple=True,
    help="Track this region only, its clicks and its words, and keep the masks of the others as "
    "they are; may be repeated.",
)
@click.option(
    "--tracker",
    metavar="NAME[=WEIGHTS]",
    default="",
    help=f"Track with this engine in place of the spec's: {', '.join(TRACKERS)}. WEIGHTS is a "
    "folder or a hub id (default: the engine's own).",
)
@click.option(
    "--finder",
    metavar="NAME[=WEIGHTS]",
    default="",
    help=f"Find words with this engine in place of the spec's: {', '.join(FINDERS)}.",
)
@click.option("--device", help="cpu, cuda, cuda:1 or mps (default: the best available).")
@click.option(
    "--force",
    is_flag=True,
    help="Track even if the masks are current, and replace those that were repaired by hand: with "
    "--only, of its regions alone.",
)
@set_option
@stdin_option
@progress_option
@format_option
def track(
    spec: Path,
    only: tuple[str, ...],
    tracker: str,
    finder: str,
    device: str | None,
    force: bool,
    sets: tuple[str, ...],
    unsaved: bool,
    shown: Shown,
    format_: Format,
) -> None:
    """Make the masks of regions from clicks and words: `track(…)` and `find(…)`.

    Writes one image for each frame of the clip and a manifest to masks/tracked/SPEC, beside the
    spec. `grain show`, `grain plan` and `grain run` use them, and make them if they are missing;
    `grain check` says when they are stale. Nothing is done for masks that are current.

    All regions are tracked together, forwards and backwards from each prompt, so that they exclude
    each other. Frames on which the tracker is not sure are reported: add a point there.

    The images can be repaired in any paint program that keeps their colours. Repaired images are
    never replaced, unless with --force; but those in the folder alpha, soft edges of some engines,
    are. The masks can also be named by hand: `masks("masks/tracked/edit", index 1)`.

    To resume an interrupted command, give it again: it continues from the frames that it had
    finished.

    \b
    Examples:
      grain track edit.grain
      grain track edit.grain --only left
      grain track edit.grain --tracker sam2 --device cuda
      grain track edit.grain --tracker sam2=models/sam2.1-hiera-large --force
      grain track edit.grain --finder owlv2 --format json
    """
    file = SpecFile.read(spec, sets, unsaved=unsaved)
    with file.explained():
        whole = override(file.whole.without_variants(), file.sets)
        engines = _engines(tracker, finder, device)
        findings = check_files(whole, file.base)
        if any(finding.is_error for finding in findings):
            raise GrainError(findings)
        _check_only(whole, only)
        with ExitStack() as held:
            # The bars are opened if they are needed.
            bars = cache(lambda: held.enter_context(progress_bars(format_, shown)))
            options = TrackOptions(
                engines=engines,
                only=only,
                force=force,
                compares=True,
                say=lambda text: None if format_ == "json" else say(text, err=True),
                progress=lambda stage, done, total: bars()(stage, done, total),
            )
            result = ensure_tracked(whole, file.base, options)
        warnings = check_tracked_masks(whole, file.base)
    file.print_findings(warnings, format_)
    if format_ == "json":
        print_json({**_facts(result), "diagnostics": [found.as_json() for found in warnings]})
    else:
        _say(result, force=force)


def _engines(tracker: str, finder: str, device: str | None) -> EngineChoice:
    for option, text, known in (("--tracker", tracker, TRACKERS), ("--finder", finder, FINDERS)):
        name = text.partition("=")[0]
        if text and name not in known:
            meant = engine_and_weights(name, option[2:])
            cure = f"Write `{option} {'='.join(meant)}`." if meant else suggestion(name, known)
            message = f"unknown {option[2:]} `{visible(name)}`. {cure}"
            raise click.BadParameter(message, param_hint=option)
    return EngineChoice(tracker, finder, known_device(device))


def _check_only(spec: EditSpec, only: tuple[str, ...]) -> None:
    from grainspec.regions.tracked.sources import tracked_sources

    names = sorted({name for used in tracked_sources(spec).values() for name in used})
    for name in only:
        if name not in names:
            known = suggestion(name, names) or "The spec has no such regions."
            message = f"no region `{visible(name)}` is made of `track(…)` or `find(…)`. {known}"
            raise click.BadParameter(message, param_hint="--only")


def _facts(result: Tracked) -> dict[str, Any]:
    state = result.state
    facts: dict[str, Any] = {"folder": str(state.folder), "status": state.status}
    if state.manifest is not None:
        frames = state.manifest.frames
        facts["frames"] = [frames.start, frames.stop - 1]
        facts["clip"] = state.manifest.clip.model_dump()
    facts |= {
        "tracked": list(result.regions),
        "resumed_frames": result.resumed,
        "repaired": list(state.repaired),
        "seconds": result.seconds,
    }
    used = [*state.clip.used][:: state.clip.spec.video.step]
    facts["regions"] = Doubts(state, used).as_json()
    return facts


def _say(result: Tracked, *, force: bool) -> None:
    state = result.state
    if not state.sources:
        say("nothing to track: no region is made of `track(…)` or `find(…)`")
        return
    assert state.manifest is not None
    if not result.regions:
        names = listed([f"`{name}`" for name in state.regions])
        say(f"{names}: already tracked, in {state.folder}")
    else:
        names = listed([f"`{name}`" for name in result.regions])
        count = counted(len(state.manifest.frames), "frame")
        say(f"tracked {names} on {count} in {result.seconds:.1f} s")
        if result.resumed:
            say(f"resumed an interrupted command after {counted(result.resumed, 'frame')}")
    if state.repaired:
        names = listed([image_name(frame) for frame in state.repaired])
        kept = "kept" if result.regions else "uses"
        if force:  # with `--only`
            say(f"kept what other regions have in {names}, repaired by hand")
        else:
            say(f"{kept} {names}, repaired by hand; `--force` replaces them")
    if result.regions:
        say(f"wrote {state.folder}: {image_name(state.manifest.first)}, …, manifest.json")

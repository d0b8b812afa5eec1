"""``grain run``: edit a spec's video."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Any, get_args

import click

from grainspec.cli.output import Format, format_option, print_json, say
from grainspec.cli.path_or_url import PathOrUrl
from grainspec.diagnostics import Diagnostic
from grainspec.remote.address import without_secrets
from grainspec_runtime.commands.again import EarlierRun
from grainspec_runtime.commands.loading import LoadingArguments, loading_options
from grainspec_runtime.commands.part import end_with_command, joined, part_of_run
from grainspec_runtime.commands.parts import check_gpus, run_in_parts
from grainspec_runtime.commands.progress import Shown, progress_bars, progress_option, warning_line
from grainspec_runtime.commands.sent_results import (
    check_replaceable,
    send_results,
    shown_place,
    staged,
)
from grainspec_runtime.commands.spec_file import (
    ALL,
    SpecFile,
    set_option,
    stdin_option,
    tracking_on_need,
    written,
)
from grainspec_runtime.editing.divided import check_divided
from grainspec_runtime.memory.estimate import memory_warnings, needs_of
from grainspec_runtime.models.additions import Embedding, Lora
from grainspec_runtime.models.options import Parallel
from grainspec_runtime.prepare import Prepared, prepare, prepare_variants
from grainspec_runtime.tracking.bake import TrackOptions


@click.command
@click.argument("spec", type=PathOrUrl())
@click.option(
    "-o",
    "--output",
    type=PathOrUrl(),
    help="Folder or URL to write (default: runs/SPEC).",
)
@loading_options
@click.option("--no-cache", is_flag=True, help="Neither read nor write the cache.")
@click.option(
    "--fresh",
    is_flag=True,
    help="Do not read the cache: compute a new inversion, and do not resume an interrupted run.",
)
@click.option(
    "--reconstruct",
    is_flag=True,
    help="Also reconstruct the clip without an edit, and report the reconstruction's PSNR.",
)
@click.option(
    "--study",
    is_flag=True,
    help="Also record attention: maps of each edit's phrase, segments, shares inside regions.",
)
@click.option(
    "--variant",
    "variants",
    metavar="NAME",
    multiple=True,
    help=f"Run this variant of the spec, or `{ALL}` of them; may be repeated.",
)
@click.option(
    "--again",
    is_flag=True,
    help="SPEC is the folder of a run: repeat it, with its overrides and its options.",
)
@click.option(
    "--gpus",
    type=click.IntRange(2),
    help="Divide the clip between this many GPUs: its windows (`context`) for models with a UNet, "
    "its latent tokens for video transformers.",
)
@click.option(
    "--parallel",
    type=click.Choice(get_args(Parallel)),
    help="What --gpus divides in video transformers: the heads of self-attention (ulysses), its "
    "keys (ring), heads as far as their number allows, and for the rest keys (auto, the default), "
    "or first the two passes of guidance, and each of them as by auto (guidance).",
)
@set_option
@stdin_option
@progress_option
@format_option
def run(
    spec: Path | str,
    output: Path | str | None,
    again: bool,
    loading: LoadingArguments,
    no_cache: bool,
    fresh: bool,
    reconstruct: bool,
    study: bool,
    variants: tuple[str, ...],
    gpus: int | None,
    parallel: Parallel | None,
    sets: tuple[str, ...],
    unsaved: bool,
    shown: Shown,
    format_: Format,
) -> None:
    """Edit a spec's video.

    Writes a folder, runs/SPEC by default: edited.mp4, edited.mkv (the same, lossless),
    side_by_side.mp4, overlay.png, overview.png, report.html, the spec, the plan, and run.json with
    everything needed to repeat the run. With ControlNets it also has controls.mp4, the control
    images; with --reconstruct, reconstruction.mp4. An earlier run in the folder is replaced once
    the new run is complete.

    Variants share one inversion. Each variant is written to a subfolder of its own name. If there
    are several, variants.mp4, variants.png and variants.html compare them.

    Regions from clicks and words are tracked first if they have no current masks, as by
    `grain track`.

    SPEC may be a URL, such as s3://studio/night/edit.grain: it is fetched, with the clip, masks and
    other files that it names, into the cache folder. Paths start at its folder there. The output
    may be a URL, too: files appear there whole, and run.json last.

    To resume an interrupted run, give the same command again. It continues from the variant and the
    sampling step that it had reached, and the result is the same as without the interruption.

    With --study the folder also has attention.png and attention.mp4 (cross-attention to each edit's
    phrase), segments.png (self-attention features as clusters and principal components), study.json
    (the share of attention inside each region, without and with modulation) and the attention maps.
    The run takes longer, and the edit is bit-identical.

    With --gpus, the command runs in as many processes, each on its GPU. For a model with a UNet,
    each runs some of the windows of the spec's `context`, and encodes and decodes some of the
    frames. For a video transformer, each has a part of the latent tokens, and decodes some rows of
    the frames; the memory of these is divided too, but not that of encoding the clip. --parallel
    says how: with guidance, half of the GPUs run the unconditional pass, and two GPUs share no
    tokens then; with two, that was the fastest where it was measured. The edit equals that of one
    GPU up to rounding. run.json says how the clip was divided.

    With --again, SPEC is a run's folder, and the new run is written to runs/RUN-again by default.
    It is said whether both edits are bit-identical. Options on the command line replace those of
    the run. --gpus and --parallel have to be given again.

    \b
    Examples:
      grain run edit.grain
      grain run edit.grain -o out/spiderman --device cuda
      grain run edit.grain --offload model --vae-slicing
      grain run edit.grain --lora ink.safetensors:0.8 --embedding "<toy>=cat-toy.safetensors"
      grain run edit.grain --set sampler.steps=20 --set attention.until=50%
      grain run wolf.grain --variant pig --variant husky
      grain run wolf.grain --variant all
      grain run edit.grain --reconstruct
      grain run edit.grain --fresh
      grain run edit.grain --study
      grain run long.grain --gpus 4
      grain run wan.grain --gpus 4 --parallel ring
      grain run s3://studio/night/edit.grain -o s3://studio/out/edit
      grain run --again runs/edit
    """
    if loading.compiles and study:
        raise click.UsageError("`--study` does not work with `--compile`; remove `--compile`.")
    if again and unsaved:
        raise click.UsageError("`--stdin` does not work with `--again`; remove one of them.")
    if parallel and not gpus:
        message = "`--parallel` says how `--gpus` divides a clip: add `--gpus`, or remove it."
        raise click.UsageError(message)
    if gpus:
        check_gpus(gpus, loading)
        for name, on in (("study", study), ("reconstruct", reconstruct), ("stdin", unsaved)):
            if on:
                message = f"`--gpus` does not work with `--{name}`; remove one of them."
                raise click.UsageError(message)
    part = part_of_run() if gpus else None
    if part is not None:
        end_with_command(part)
    earlier = _earlier(spec, sets, variants) if again else None
    if earlier:
        loading = earlier.loading(loading)
    file = earlier.file if earlier else SpecFile.read(spec, sets, unsaved=unsaved)
    stem = f"{Path(spec).resolve().name}-again" if again else file.path.stem
    url = output if isinstance(output, str) else ""
    output = staged(url) if url else Path(output or Path("runs") / stem)
    with file.explained():
        loras, embeddings = loading.additions()
        tracking = tracking_on_need(format_, loading.arguments["device"], shown)
        tracking = replace(tracking, replaces=earlier is None)  # they are those of the spec now
        prepared = _prepared(file, variants, embeddings, loras, tracking)
        prepared = [earlier.compared(one) for one in prepared] if earlier else prepared
        divided = check_divided(prepared, gpus, parallel or "auto") if gpus else []
        if gpus and part is None:  # the spec is checked, and its regions are tracked
            raise SystemExit(run_in_parts(gpus))
        printed: set[Diagnostic] = set()

        def print_new(findings: Iterable[Diagnostic]) -> None:
            new = [found for found in dict.fromkeys(findings) if found not in printed]
            printed.update(new)
            if shown == "json":
                for finding in new:
                    warning_line(finding)
            else:
                file.print_findings(new, format_)

        print_new([*(warning for one in prepared for warning in one.warnings), *divided])
        options = loading.options()
        if part is not None:
            options = part.options(options, parallel or "auto")
        needs = needs_of(prepared[0], options, processes=gpus or 1)
        print_new(memory_warnings(prepared[0], needs, options))

        from grainspec_runtime.runs.write import (
            OF_RUNS,
            check_writable,
            claimed_runs,
            finished_run,
            manifest_of,
            save_comparison,
            save_run,
        )

        places = [output / one.variant if one.variant else output for one in prepared]
        writes = part is None or part.number == 0
        folders = list(dict.fromkeys([output, *places])) if writes else []
        for place in folders:
            check_writable(place)
        if url and writes:
            check_replaceable(url, OF_RUNS)

        from transformers.utils import logging

        from grainspec_runtime.editing.edit import edit
        from grainspec_runtime.editing.editor import Editor
        from grainspec_runtime.editing.result import EditResult

        logging.disable_progress_bar()
        results: list[EditResult] = []
        arguments = list(map(without_secrets, sys.argv[1:]))
        with (
            joined(part, str(options.device)),
            claimed_runs(folders),
            progress_bars(format_, shown) as progress,
            Editor(
                prepared[0].spec.model,
                motion_adapter=prepared[0].spec.motion_adapter,
                loading=options,
                use_cache=not no_cache,
                reconstruct=reconstruct,
                fresh=fresh,
                study=study,
            ).session(
                prepared, progress=progress, warned=lambda finding: print_new([finding])
            ) as session,
        ):
            for one, place in zip(prepared, places, strict=True):
                result = edit(session, one, finished=partial(finished_run, place))
                if not writes:
                    continue
                if not result.was_finished:
                    result = save_run(
                        result,
                        place,
                        spec_text=file.text,
                        spec_name=file.path.name,
                        arguments=arguments,
                    )
                results.append(result)
            if len(results) > 1:  # before the session deletes the saved state
                with written(output / "variants.mp4"):
                    save_comparison(results, output)
            if url and writes:
                send_results(output, url, partial(progress, "send"))
    if not writes:
        return
    if url:
        rmtree(output)
    print_new(warning for result in results for warning in result.warnings)
    manifests = [
        {
            "output": shown_place(place, output, url),
            **manifest_of(result, arguments),
            "memory": needs.as_json(),
        }
        for result, place in zip(results, places, strict=True)
    ]
    if format_ == "json":
        print_json({"runs": manifests} if variants else manifests[0])
        return
    names = [shown_place(place, output, url) for place in places]
    for result, name in zip(results, names, strict=True):
        if result.was_finished:
            say(f"kept {name}: already finished by the interrupted run")
            continue
        total = sum(result.seconds.values())
        how = " by FlowEdit" if result.prepared.process == "flow_edit" else ""
        if method := result.prepared.spec.method:  # with its regions: most were published without
            how = f" by `method {method.name} {{ regions {method.regions} }}`"
        cached = ", inversion from the cache" if result.inversion_cached else ""
        say(f"edited {len(result.edited)} frames{how} in {total:.0f} s{cached}")
        if gpus:
            say(f"divided between {gpus} processes: {result.division}")
        if result.resumed_at:
            steps = result.prepared.spec.sampler.steps
            say(f"resumed an interrupted run after step {result.resumed_at} of {steps}")
        if result.reconstruction:
            back = result.reconstruction
            say(
                f"reconstruction PSNR: {back.psnr:.1f} dB; "
                f"the VAE's round trip alone has {back.vae_psnr:.1f} dB"
            )
        if earlier:
            say(earlier.verdict(result.edited, result.division))
        say(f"wrote {name}: report.html, edited.mp4, side_by_side.mp4, run.json and more")
    if len(results) > 1:
        where = shown_place(output, output, url)
        say(f"wrote {where}: variants.html, variants.mp4 and variants.png compare the variants")


def _earlier(run: Path | str, sets: tuple[str, ...], variants: tuple[str, ...]) -> EarlierRun:
    if isinstance(run, str):
        raise click.UsageError("`--again` goes with the folder of a run on this machine, no URL.")
    if variants:
        message = "`--again` does not work with `--variant`: name the folder of the variant's run."
        raise click.UsageError(message)
    return EarlierRun.read(run, sets)


def _prepared(
    file: SpecFile,
    variants: tuple[str, ...],
    embeddings: Sequence[Embedding],
    loras: Sequence[Lora],
    tracking: TrackOptions,
) -> list[Prepared]:
    """Prepare the named variants, each once, or the spec itself if none is named."""
    if ALL in variants and file.whole.variants:
        variants = file.whole.variant_names
    file.check_choice(*variants)
    added: Any = {"sets": file.sets, "embeddings": embeddings, "loras": loras, "tracking": tracking}
    if not variants:
        return [prepare(file.whole, file.base, **added)]
    names = tuple(dict.fromkeys(variants))
    return prepare_variants(file.whole, names, file.base, **added)

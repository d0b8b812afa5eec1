"""``grain batch``: many edits on a cluster of Ray, or on this machine; ``grain batch status``."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from grainspec.cli.output import Format, counted, format_option, print_findings, print_json, say
from grainspec.cli.path_or_url import PathOrUrl
from grainspec.diagnostics import Diagnostic, GrainError, fail
from grainspec.remote.address import is_url, path_of, without_file_protocol, without_secrets
from grainspec.remote.address import shown as shown_url
from grainspec_runtime.cache.limit import size_in_bytes
from grainspec_runtime.commands.batch_table import failure_lines, live_table, status_text
from grainspec_runtime.commands.loading import LoadingArguments, loading_options
from grainspec_runtime.commands.progress import Shown, progress_option
from grainspec_runtime.commands.spec_file import ALL, set_option

_TIME = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*([smh])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600}

_LEAST_STORE = 79_000_000
"""What Ray requires: 75 MiB."""


class _RunByDefault(click.Group):
    """A group whose command `run` may be left out: `grain batch edit.grain`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_RunByDefault)
def batch() -> None:
    """Run many edits on a cluster, or on this machine.

    `grain batch JOBS…` is short for `grain batch run JOBS…`.

    \b
    Examples:
      grain batch wolf.grain --variant all
      grain batch night.csv --address auto
      grain batch status batches/night
    """


@batch.command
@click.argument("jobs", type=PathOrUrl(), nargs=-1, required=True)
@click.option("-o", "--output", help="Folder or URL to write (default: batches/JOBS).")
@click.option("--address", help="A cluster of Ray, such as `auto` or ray://host:10001.")
@click.option(
    "--variant",
    "variants",
    metavar="NAME",
    multiple=True,
    help=f"Run this variant of each spec, several separated by commas, or `{ALL}` (the default).",
)
@set_option
@click.option(
    "--grid",
    "grids",
    metavar="NAME=VALUES",
    multiple=True,
    help="Run each of these values, separated by commas, or by | if they contain commas; "
    "several grids are combined.",
)
@loading_options
@click.option("--workers", type=click.IntRange(1), help="Use at most so many GPUs or processes.")
@click.option(
    "--per-gpu",
    type=click.IntRange(1, 64),
    help="Share a GPU between at most so many workers (default: what its memory allows, up to 8).",
)
@click.option("--cpus", type=click.IntRange(1), help="CPUs of a local cluster (default: all).")
@click.option(
    "--object-store",
    metavar="SIZE",
    help="Memory of a local cluster for what stages hand on, as 2GB.",
)
@click.option(
    "--retries",
    type=click.IntRange(0, 10),
    default=2,
    show_default=True,
    help="Further attempts of a job whose process died, or whose failure may pass.",
)
@click.option(
    "--timeout",
    metavar="TIME",
    help="For each stage, such as `90s`, `30m` or `2h` (default: none). A stage prepares or "
    "inverts up to 16 jobs of a clip together, or samples or saves one; in a new process it "
    "includes loading. What takes longer is ended, and counts as an attempt.",
)
@click.option("--measure", is_flag=True, help="Measure each edit, without CLIP; kept ones, too.")
@click.option(
    "--no-cache",
    is_flag=True,
    help="Neither read nor write the cache; the jobs of this batch still share inversions.",
)
@click.option("--fresh", is_flag=True, help="Run all jobs, also those that are done.")
@progress_option
@format_option
def run(
    jobs: tuple[Path | str, ...],
    output: str | None,
    address: str | None,
    variants: tuple[str, ...],
    sets: tuple[str, ...],
    grids: tuple[str, ...],
    loading: LoadingArguments,
    workers: int | None,
    per_gpu: int | None,
    cpus: int | None,
    object_store: str | None,
    retries: int,
    timeout: str | None,
    measure: bool,
    no_cache: bool,
    fresh: bool,
    shown: Shown,
    format_: Format,
) -> None:
    """Run the jobs of specs and tables.

    JOBS are specs, each of whose variants is a job, and tables (.csv, .jsonl, .parquet) with a job
    a row. Columns of a table are `clip`, `spec`, `base` (where the spec's paths start) and
    `variant` (as for `--variant`; an empty cell means those that the command names, or all); every
    other column is an override, such as `sampler.seed`. A row without a spec is for each spec that
    is named beside the table; one without any value is skipped. Specs, tables, clips and results
    may be behind URLs: s3://, gs://, sftp://, and https:// for reading. Relative paths start at the
    folder of the table or spec, there too.

    Writes runs/NAME for each job, as `grain run` does; manifest.parquet with a row for each; and
    index.html. To resume a batch that was interrupted, give the same command again: jobs whose run
    is complete are kept, also if a clip or mask has changed since (`--fresh` makes all of them
    again). Runs of which files are missing are made again. A job that fails is set aside with the
    code of its error, and tried again by the same command.

    The inversion of a clip is made once for all of its jobs. GPUs are shared between workers by the
    estimate of memory that `grain run` warns by.

    \b
    Examples:
      grain batch edit.grain wolf.grain
      grain batch night.csv -o batches/night
      grain batch edit.grain clips.csv --grid sampler.seed=1,2,3,4
      grain batch edit.grain --grid attention.self=0.3,0.6 --grid left.weight=0.5,1
      grain batch night.parquet --address auto --retries 1 --measure
      grain batch s3://studio/night.csv -o s3://studio/night
    """
    from grainspec.cache_folder import fetched_files, shared_cache
    from grainspec.remote.store import check_lasting
    from grainspec_runtime.batch.asked import jobs_asked_for
    from grainspec_runtime.batch.edit_work import EditWork
    from grainspec_runtime.batch.jobs import Sharing, variants_named
    from grainspec_runtime.batch.limits import Limits
    from grainspec_runtime.batch.manifest import take_over
    from grainspec_runtime.batch.page import where_all
    from grainspec_runtime.batch.places import Places
    from grainspec_runtime.batch.run import Cluster, distinct, run_batch
    from grainspec_runtime.cache.folder import cache_folder
    from grainspec_runtime.remote.record import recorded

    options, limit, store = loading.options(), _seconds(timeout), _bytes(object_store)
    for name, value in (("--cpus", cpus), ("--object-store", store)):
        if address and value is not None:
            message = f"`{name}` is for a local cluster: give it to `ray start`, or leave it out"
            raise click.UsageError(f"{message}, or leave `--address` out.")
    output = without_file_protocol(output) if output else None
    for url in filter(is_url, (output or "", shared_cache() or "")):
        check_lasting(url)
    sharing = Sharing(
        variants=variants_named(",".join(variants)) if variants else None,
        sets=sets,
        grid=_grids(grids, sets),
        loading={"dtype": loading.arguments["dtype"], **options.recorded()},
    )
    warnings: list[Diagnostic] = []
    not_sent: list[GrainError] = []

    def warn(findings: list[Diagnostic]) -> None:
        warnings.extend(findings)
        if format_ == "text":
            print_findings(findings)

    def unsent(error: GrainError) -> None:
        not_sent.append(error)
        print_findings(error.diagnostics)

    asked, unused = jobs_asked_for(jobs, sharing)
    once, repeated = distinct(asked)
    if not once:
        raise fail("G740", "there is no job", "Name a spec, or a table with a row for each job.")
    warn([*unused, *repeated])
    last = jobs[-1]
    place = output or str(Path("batches") / (path_of(last) if isinstance(last, str) else last).stem)
    with (
        recorded(place, cache_folder() / "batches", take_over, unsent) as folder,
        live_table(format_, shown, len(once)) as told,
    ):
        target = place if is_url(place) else str(folder)
        work = EditWork(
            Places(target, fetched_files()),
            options,
            use_cache=not no_cache,
            fresh=fresh,
            measure=measure,
        )
        summary = run_batch(
            once,
            work,
            folder,
            on=Cluster(address, cpus, store),
            limits=Limits(
                workers,
                per_gpu,
                retries,
                on_cpus=loading.arguments["device"] == "cpu",
                stage_seconds=limit,
            ),
            fresh=fresh,
            measure=measure,
            output=target,
            told=told,
            warn=warn,
            facts={
                "arguments": list(map(without_secrets, sys.argv[1:])),
                "address": address and without_secrets(address),
            },
        )
    if format_ == "json":
        names = ("jobs", "done", "kept", "inversions", "measured")
        facts = {name: getattr(summary, name) for name in names}
        failed = [_short(row) for row in summary.set_aside]
        told_of = [finding.as_json() for finding in warnings]
        said = {"seconds": summary.seconds, "set_aside": failed, "warnings": told_of}
        print_json({"output": shown_url(place), **facts, **said})
    else:
        before = f", {summary.kept} of them before" if summary.kept else ""
        say(f"{summary.done} of {summary.jobs} jobs are done{before}, in {summary.seconds:.0f} s")
        if summary.measured:
            say(f"measured {counted(summary.measured, 'kept job')}")
        for line in failure_lines(summary.set_aside, where_all(len(summary.set_aside))):
            say(line)
        if not not_sent:
            say(f"wrote {shown_url(place)}: index.html, manifest.parquet, runs")
    if summary.set_aside or not_sent:
        raise SystemExit(1)


@batch.command
@click.argument("folder", type=PathOrUrl())
@format_option
def status(folder: Path | str, format_: Format) -> None:
    """Show how far a batch is, while it runs or afterwards.

    FOLDER is what `grain batch` wrote, a folder or a URL; the counts are at most a few seconds old,
    of a URL about ten.

    \b
    Examples:
      grain batch status batches/night
      grain batch status batches/night --format json
      grain batch status s3://studio/night
    """
    from grainspec_runtime.batch.status import status_behind, status_of

    facts = status_behind(folder) if isinstance(folder, str) else status_of(folder)
    if format_ == "json":
        print_json(facts)
    else:
        say(status_text(facts))


def _grids(texts: tuple[str, ...], sets: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    from grainspec_runtime.batch.jobs import setting_name

    given = {setting_name(text): text for text in sets}
    found: dict[str, tuple[str, ...]] = {}
    for name, values in map(_grid, texts):
        if name in found:
            message = f"several grids of `{name}`: write `{name}=VALUE,VALUE` once"
            raise click.BadParameter(message, param_hint="--grid")
        if name in given:
            message = f"`{name}` is also given by `--set {given[name]}`: leave one of the two out"
            raise click.BadParameter(message, param_hint="--grid")
        found[name] = values
    return found


def _grid(text: str) -> tuple[str, tuple[str, ...]]:
    """Parse an option `--grid`.

    >>> _grid("sampler.seed=1,2")
    ('sampler.seed', ('1', '2'))
    """
    name, equals, values = text.partition("=")
    if not equals or not values:
        message = f"invalid grid `{text}`: write `NAME=VALUE,VALUE`"
        raise click.BadParameter(message, param_hint="--grid")
    parts = [part.strip() for part in values.split("|" if "|" in values else ",")]
    if not all(parts):
        message = f"invalid grid `{text}`: one of its values is empty"
        raise click.BadParameter(message, param_hint="--grid")
    return name.strip(), tuple(parts)


def _bytes(size: str | None) -> int | None:
    if size is None:
        return None
    try:
        store = size_in_bytes(size)
    except ValueError as error:
        raise click.BadParameter(f"{error}", param_hint="--object-store") from error
    if store < _LEAST_STORE:
        message = f"`{size}` is too small: Ray requires {_LEAST_STORE / 1e6:.0f}MB"
        raise click.BadParameter(message, param_hint="--object-store")
    return store


def _seconds(text: str | None) -> float | None:
    """Parse an option `--timeout`.

    >>> _seconds("90s"), _seconds("1.5h"), _seconds(None)
    (90.0, 5400.0, None)
    """
    if text is None:
        return None
    match = _TIME.fullmatch(text.strip())
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not seconds:
        message = f"invalid time `{text}`: write a number and its unit, such as `30m`"
        raise click.BadParameter(message, param_hint="--timeout")
    return seconds


def _short(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row.get(name) for name in ("name", "code", "place", "message", "cure", "reasons")}

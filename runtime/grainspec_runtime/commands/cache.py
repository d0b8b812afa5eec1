"""``grain cache``: list cached inversions and interrupted runs, limit the cache, or clear it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import click

from grainspec.cli.output import Format, counted, format_option, print_findings, print_json, say
from grainspec.diagnostics import Diagnostic, fail
from grainspec_runtime.cache.limit import size_in_bytes

_WHAT = {"inversion": "inversion", "unfinished": "unfinished run"}


class _Size(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on
    name = "size"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        try:
            return size_in_bytes(str(value))
        except ValueError as error:
            self.fail(f"{error}. Write a size such as 500MB or 4GB.", param, ctx)


@click.command
@click.option("--clear", is_flag=True, help="Delete every entry that is not in use.")
@click.option(
    "--limit",
    type=_Size(),
    metavar="SIZE",
    help="Set the maximum size of the cache, such as 500MB or 4GB, and save it.",
)
@click.option(
    "--shared",
    is_flag=True,
    help="Apply --clear or --limit to the shared cache: delete its oldest entries, now and once.",
)
@format_option
def cache(clear: bool, limit: int | None, shared: bool, format_: Format) -> None:
    """List cached inversions and interrupted runs with their sizes, or free space.

    A cached inversion lets other edits of the same clip start at once. The state of an interrupted
    run lets it resume. When the cache reaches its limit, the least recently used entries are
    deleted; entries in use are never deleted. The environment variables GRAINSPEC_CACHE and
    GRAINSPEC_CACHE_LIMIT set the folder and the limit.

    GRAINSPEC_CACHE may be a URL, such as s3://studio/cache: machines then share inversions there,
    and each keeps copies in its user's cache folder, to which the limit applies. The shared cache
    has no limit of its own. Whoever can write to it decides what is in it.

    Copies of clips and other files from URLs are in the cache folder, too. --clear deletes those
    that were not used for a day.

    \b
    Examples:
      grain cache
      grain cache --limit 10GB
      grain cache --clear
      grain cache --shared --limit 500GB
      grain cache --format json
    """
    from grainspec.cache_folder import fetched_files
    from grainspec.remote.address import shown
    from grainspec.remote.copies import clear_copies, size_of_copies
    from grainspec_runtime.cache.folder import cache_folder, shared_cache
    from grainspec_runtime.cache.limit import cache_limit, set_cache_limit, shown_size
    from grainspec_runtime.cache.shared import prune_shared, shared_entries
    from grainspec_runtime.cache.store import entries, prune

    folder, url = cache_folder(), shared_cache()
    freed = 0
    if shared:
        if url is None:
            message = "There is no shared cache: GRAINSPEC_CACHE is not a URL."
            raise click.UsageError(message)
        if limit is None and not clear:
            raise click.UsageError("`--shared` goes with `--clear` or `--limit SIZE`.")
        freed = prune_shared(url, 0 if clear else limit or 0)
        limit, clear = None, False
    if limit is not None:
        try:
            set_cache_limit(limit)
        except OSError as error:
            message = f"cannot write to the cache folder {folder}: {error.strerror or error}"
            cure = "Set another folder: `GRAINSPEC_CACHE=path/to/folder`."
            raise fail("G310", message, cure) from error
    allowed = cache_limit()
    if limit is not None or clear:
        freed = prune(0 if clear else allowed)
    if clear:
        freed += clear_copies(fetched_files())
    copies = size_of_copies(fetched_files())
    there = shared_entries(url) if url else []
    there_bytes = sum(entry.size for entry in there)
    damaged: list[Diagnostic] = []
    listed = entries(damaged.append)
    total = sum(entry.size for entry in listed)
    if format_ == "json":
        print_json(
            {
                "folder": str(folder),
                "limit_bytes": allowed,
                "bytes": total,
                "freed_bytes": freed,
                "copies_bytes": copies,
                "shared": url and {"url": shown(url), "entries": len(there), "bytes": there_bytes},
                "entries": [
                    {
                        "kind": entry.kind,
                        "path": str(entry.path),
                        "bytes": entry.size,
                        "used": round(entry.used, 3),
                        "about": dict(entry.about),
                    }
                    for entry in listed
                ],
                "diagnostics": [finding.as_json() for finding in damaged],
            }
        )
        return
    print_findings(damaged)
    for entry in reversed(listed):
        age = _age(time.time() - entry.used)
        say(f"{_WHAT[entry.kind]:<15} {shown_size(entry.size):>7}  {age:<11} ", end="")
        say(", ".join(_description(entry.about)).replace("\n", " "))
    if freed:
        say(f"freed {shown_size(freed)}")
    say(f"{folder}: {_count(listed)}, {shown_size(total)} of at most {shown_size(allowed)}")
    if copies:
        say(f"{fetched_files()}: {shown_size(copies)} of copies of remote files")
    if url:
        say(f"{shown(url)}: {_count(there)}, {shown_size(there_bytes)}, shared")


def _count(entries: Sequence[object]) -> str:
    return "1 entry" if len(entries) == 1 else f"{len(entries)} entries"


def _description(about: Mapping[str, str]) -> list[str]:
    """Describe an entry, in a fixed order."""
    templates = {
        "clip": "{}",
        "size": "{}",
        "model": "{}",
        "process": "{}",
        "steps": "{} steps",
        "step": "after step {}",
        "source": "source “{}”",
        "target": "target “{}”",
    }
    return [text.format(about[name]) for name, text in templates.items() if about.get(name)]


def _age(seconds: float) -> str:
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            return f"{counted(int(seconds // length), unit)} ago"
    return "just now"

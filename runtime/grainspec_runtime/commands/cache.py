"""``grain cache``: list cached inversions and interrupted runs, limit the cache, or clear it."""

from __future__ import annotations

import time
from collections.abc import Mapping

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
@format_option
def cache(clear: bool, limit: int | None, format_: Format) -> None:
    """List cached inversions and interrupted runs with their sizes, or free space.

    A cached inversion lets other edits of the same clip start at once. The state of an interrupted
    run lets it resume. When the cache reaches its limit, the least recently used entries are
    deleted; entries in use are never deleted. The environment variables GRAINSPEC_CACHE and
    GRAINSPEC_CACHE_LIMIT set the folder and the limit.

    \b
    Examples:
      grain cache
      grain cache --limit 10GB
      grain cache --clear
      grain cache --format json
    """
    from grainspec_runtime.cache.folder import cache_folder
    from grainspec_runtime.cache.limit import cache_limit, set_cache_limit, shown_size
    from grainspec_runtime.cache.store import entries, prune

    folder = cache_folder()
    freed = 0
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
    count = "1 entry" if len(listed) == 1 else f"{len(listed)} entries"
    say(f"{folder}: {count}, {shown_size(total)} of at most {shown_size(allowed)}")


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

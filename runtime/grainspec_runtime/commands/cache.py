"""``grain cache``: what is kept to save time, how large it is, and what it may grow to."""

from __future__ import annotations

import time
from collections.abc import Mapping

import click

from grainspec.cli.output import Format, counted, format_option, print_findings, print_json
from grainspec.diagnostics import Diagnostic, fail, visible
from grainspec_runtime.cache.limit import size_in_bytes

_WHAT = {"inversion": "inversion", "unfinished": "unfinished run"}


class _Size(click.ParamType[int]):
    name = "size"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        try:
            return size_in_bytes(str(value))
        except ValueError as error:
            self.fail(f"{error}. Write one such as 500MB or 4GB.", param, ctx)


@click.command
@click.option("--clear", is_flag=True, help="Remove everything that no run is using.")
@click.option(
    "--limit",
    type=_Size(),
    metavar="SIZE",
    help="Keep the cache below this from now on, such as 500MB or 4GB.",
)
@format_option
def cache(clear: bool, limit: int | None, format_: Format) -> None:
    """Show what the cache holds, or make room.

    Inversions let other edits of the same clip start at once; of runs that were interrupted it
    holds where they stood. What was used longest ago goes first when the limit is reached, and
    nothing goes that a run is using. GRAINSPEC_CACHE names another folder, GRAINSPEC_CACHE_LIMIT
    another limit.

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
            message = f"{folder} cannot be written: {error.strerror or error}"
            raise fail("G310", message, "Name another with GRAINSPEC_CACHE.") from error
    allowed = cache_limit()
    if limit is not None or clear:
        freed = prune(0 if clear else allowed)
    damaged: list[Diagnostic] = []
    found = entries(damaged.append)
    total = sum(entry.size for entry in found)
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
                    for entry in found
                ],
                "diagnostics": [finding.as_json() for finding in damaged],
            }
        )
        return
    print_findings(damaged)
    for entry in reversed(found):
        age = _age(time.time() - entry.used)
        print(f"{_WHAT[entry.kind]:<15} {shown_size(entry.size):>7}  {age:<11} ", end="")
        print(visible(", ".join(_told(entry.about))))
    if freed:
        print(f"freed {shown_size(freed)}")
    many = "1 entry" if len(found) == 1 else f"{len(found)} entries"
    print(f"{folder}: {many}, {shown_size(total)} of at most {shown_size(allowed)}")


def _told(about: Mapping[str, str]) -> list[str]:
    """What an entry is, in a fixed order."""
    shown = {
        "clip": "{}",
        "size": "{}",
        "model": "{}",
        "steps": "{} steps",
        "step": "after step {}",
        "source": "source “{}”",
        "target": "target “{}”",
    }
    return [form.format(about[name]) for name, form in shown.items() if about.get(name)]


def _age(seconds: float) -> str:
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            return f"{counted(int(seconds // length), unit)} ago"
    return "just now"

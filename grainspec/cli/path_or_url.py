"""Arguments of commands that are paths or URLs."""

from __future__ import annotations

from pathlib import Path

import click

from grainspec.remote.address import is_url, without_file_protocol


class PathOrUrl(click.Path):
    """A path, as :class:`pathlib.Path`, or a URL, as text; ``file:///x`` is the path ``/x``."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(  # type: ignore[override]  # the base class promises less
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        """Leave URLs as they are: a path would lose one of their slashes."""
        if isinstance(value, str):
            value = without_file_protocol(value)
            if is_url(value):
                return value
        return super().convert(value, param, ctx)  # type: ignore[arg-type]

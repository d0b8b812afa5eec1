"""Files that findings depend on are watched: by the editor where it can, and by looking at them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lsprotocol import types

from grainspec.analysis.dependencies import Place, State, state_of
from grainspec.language_server.worker import Worker

SECONDS = 1.0
"""Between two looks at the files, if the editor does not watch them."""
SECONDS_WATCHED = 10.0
"""The same if it does: it may miss files on network drives, and what happens before it begins."""
SHARE = 50
"""A look that takes long is followed by a pause of so many times its duration, but of at most
``SECONDS_WATCHED``: on a busy machine a look may take long by chance."""
MAX_WATCHERS = 200
"""Patterns that the editor is asked to watch."""

_SPECIAL = frozenset("*?[]{}\\!")
"""Characters with a meaning in a pattern, which has no way to quote them."""


@dataclass(frozen=True)
class Watched:
    """What one document depends on, and the state in which it was checked."""

    places: tuple[Place, ...]
    state: State


class Watching:
    """Calls ``changed`` with a document's URI when a file changed on which its findings depend.

    ``ask`` asks the editor to watch files; it is not called unless ``asks`` is set. An editor that
    watches calls :meth:`look`. All methods are called in the event loop's thread.
    """

    def __init__(
        self,
        worker: Worker,
        changed: Callable[[str], None],
        ask: Callable[[list[types.FileSystemWatcher]], None],
    ) -> None:
        self.asks = False
        self._worker = worker
        self._changed = changed
        self._ask = ask
        self._watched: dict[str, Watched] = {}
        self._asked: list[types.FileSystemWatcher] = []
        self._timer: asyncio.TimerHandle | None = None

    def keep(self, uri: str, watched: Watched) -> None:
        """Watch what a document depends on, from the state in which it was checked."""
        self._watched[uri] = watched
        self._tell()
        self._after(SECONDS)  # soon at first: it may have changed since

    def forget(self, uri: str) -> None:
        """Watch for a document no more."""
        self._watched.pop(uri, None)
        if not self._watched:
            self.end()

    def end(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def look(self) -> None:
        """Compare the files with what they were, without waiting for it."""
        self.end()
        loop, watched = asyncio.get_running_loop(), dict(self._watched)

        def work(cancelled: Callable[[], bool]) -> None:
            start = time.perf_counter()
            found = [uri for uri, one in watched.items() if state_of(one.places) != one.state]
            took = time.perf_counter() - start
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._looked, watched, found, took)

        if watched:
            self._worker.do(type(self).__name__, work)

    def _looked(self, watched: dict[str, Watched], found: list[str], took: float) -> None:
        for uri in found:
            if self._watched.get(uri) is watched[uri]:  # or it was checked again meanwhile
                self._changed(uri)
        if self._watched:
            pause = SECONDS_WATCHED if self.asks else max(SECONDS, SHARE * took)
            self._after(min(SECONDS_WATCHED, pause))

    def _after(self, seconds: float) -> None:
        self.end()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.look)

    def _tell(self) -> None:
        """Ask the editor to watch the places of all documents, if they are others than before."""
        if not self.asks:
            return
        places = dict.fromkeys(p for one in self._watched.values() for p in one.places)
        found = watchers(places)[:MAX_WATCHERS]
        if found != self._asked:
            self._asked = found
            self._ask(found)


def watchers(places: Iterable[Place]) -> list[types.FileSystemWatcher]:
    """The patterns by which an editor notices changes of files and folders.

    They lead into no folder but those that are named. Where nothing exists yet, the next folder
    that would have to be made is watched.

    >>> [one.glob_pattern.pattern for one in watchers([Place(Path("/no/such/clip.mp4"))])]
    ['no']
    """
    found = dict.fromkeys(pattern for place in places for pattern in _patterns(place))
    return [
        types.FileSystemWatcher(types.RelativePattern(base.as_uri(), pattern))
        for base, pattern in found
    ]


def _patterns(place: Place) -> Iterator[tuple[Path, str]]:
    path = place.path.absolute()
    base, name = path.parent, path.name
    while not base.is_dir() and base != base.parent:
        base, name = base.parent, base.name
    if name:  # or it is the root
        yield base, "*" if _SPECIAL & set(name) else name
    if path.is_dir():
        deep = place.deep and not _is_wide(path)
        yield path, "**/*" if deep else "*"


def _is_wide(folder: Path) -> bool:
    """Whether a folder has all that a person has, or more: it is only looked at."""
    try:
        return Path.home().is_relative_to(folder)
    except RuntimeError:  # there is no home
        return len(folder.parts) < 3

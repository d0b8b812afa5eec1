"""What pages are told as it happens."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

Event = dict[str, Any]


class Listener:
    """A page that listens. Of each subject it gets the latest event, however slowly it reads."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, Event] = OrderedDict()
        self._some = asyncio.Event()

    def tell(self, subject: str, event: Event) -> None:
        """Leave an event for the page, in place of an earlier one about the same."""
        self._waiting[subject] = event
        self._some.set()

    async def next(self) -> Event:
        """The next event; waits for one."""
        await self._some.wait()
        _, event = self._waiting.popitem(last=False)
        if not self._waiting:
            self._some.clear()
        return event


class Events:
    """Passes events on to all pages that listen; used in the thread of the event loop."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    def publish(self, subject: str, event: Event) -> None:
        """Tell every page. A slow page misses what a later event of ``subject`` replaces."""
        for listener in self._listeners:
            listener.tell(subject, event)

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """A listener, inside the block."""
        listener = Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

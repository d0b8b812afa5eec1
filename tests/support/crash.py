"""Processes that die at a chosen file operation, or whose operations fail as on a full disk."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable

EVENTS = frozenset(
    "open os.mkdir os.rename os.remove os.rmdir os.link os.truncate shutil.rmtree shutil.copyfile "
    "shutil.copymode fcntl.flock grainspec.exchange os.listdir os.scandir".split()
)
"""Python's audit events of file operations; each comes before its operation."""

Strike = Callable[[], None]


def kill(number: int) -> Strike:
    """Die by a signal, at once."""
    return lambda: os.kill(os.getpid(), number)


def full_disk() -> None:
    """Fail as a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupt() -> None:
    """Be interrupted at the keyboard."""
    raise KeyboardInterrupt


def in_child(work: Callable[[], None], strike: Strike, at: int) -> int:
    """Do the work in a forked process that is struck at its ``at``-th file operation, from 0.

    Returns the process's exit status: negative for a signal, 1 for an exception, 0 if it finished
    before that operation, 2 if it finished in spite of what struck it.
    """
    child = os.fork()
    if child == 0:
        _work(work, strike, at)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _work(work: Callable[[], None], strike: Strike, at: int) -> None:
    count = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if event in EVENTS and not _reads_code(event, arguments):
            count += 1
            if count == at + 1:
                strike()

    status = 1
    try:
        sys.addaudithook(hook)
        work()
        status = 2 if count > at else 0
    except BaseException as error:
        if "-v" in sys.argv:
            traceback.print_exception(error)
    finally:
        sys.addaudithook(lambda *_: None)
        os._exit(status)


def _reads_code(event: str, arguments: tuple[object, ...]) -> bool:
    """Whether a file is opened to import it."""
    return event == "open" and str(arguments[0]).endswith((".py", ".pyc", ".so"))

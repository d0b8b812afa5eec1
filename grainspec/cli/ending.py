"""How a command ends: what is printed for an exception, and the exit code."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from types import FrameType
from typing import NoReturn

import click

from grainspec.cli.output import Format, print_findings, say
from grainspec.diagnostics import Diagnostic, GrainError, reason_of
from grainspec.extras import install_cure

OK, FOUND_ERRORS, USAGE, INTERNAL_ERROR, INTERRUPTED = 0, 1, 2, 70, 130
DEBUG = "GRAINSPEC_DEBUG"
"""The environment variable that shows the traceback of an internal error."""

_LONGEST_REASON = 300


def report_ending(error: BaseException, format: Format) -> int:
    """Print why a command ended early, and return its exit code; raises nothing."""
    if os.environ.get(DEBUG) and not isinstance(error, GrainError | click.ClickException):
        with contextlib.suppress(OSError):
            say("".join(traceback.format_exception(error)), err=True)
    try:
        return _report(error, format)
    except OSError:  # nobody reads the output any more, or the disk is full
        return _code_of(error)


def _report(error: BaseException, format: Format) -> int:
    code = _code_of(error)
    if isinstance(error, GrainError):
        print_findings(error.diagnostics, source=error.source, path=error.path, format=format)
    elif isinstance(error, click.ClickException):
        text = StringIO()
        error.show(text)
        say(text.getvalue(), err=True, end="")
    elif code == INTERRUPTED:
        say("interrupted", err=True)
    elif code in {FOUND_ERRORS, INTERNAL_ERROR}:
        print_findings([finding_of(error)], format=format)
    return code


def _code_of(error: BaseException) -> int:
    if isinstance(error, click.ClickException):
        return USAGE
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        return OK
    if isinstance(error, GrainError):
        return FOUND_ERRORS
    return INTERNAL_ERROR if finding_of(error).code == "G900" else FOUND_ERRORS


def finding_of(error: BaseException) -> Diagnostic:
    """The finding for an exception that no command expects."""
    if isinstance(error, MemoryError):
        return Diagnostic(
            "G506",
            "the machine ran out of memory",
            "Edit fewer frames (`frames 0..30`) or smaller ones (`size 512x512`).",
        )
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").split(".")[0]
        if package not in {"", "grainspec", "grainspec_runtime"}:
            message = f"this command requires {package}, which is not installed"
            return Diagnostic("G501", message, install_cure(package))
    if isinstance(error, OSError) and not _in_a_folder():
        return Diagnostic("G349", "the current folder does not exist any more", "`cd` to another.")
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return _no_room(error)
    reason = reason_of(error)[:_LONGEST_REASON]
    message = f"internal error: {type(error).__name__}: {reason}"
    cure = (
        "This is a bug in grainspec. Please report it, with what the same command prints "
        f"after `export {DEBUG}=1`, and with the spec if you can."
    )
    return Diagnostic("G900", message, cure)


def _no_room(error: OSError) -> Diagnostic:
    message = f"the output cannot be written: {error.strerror or error}"
    return Diagnostic("G310", message, "Make room, or write it to another place.")


def _in_a_folder() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def flush_output() -> None:
    """Write out what was printed; raises GrainError (G310) if there is no room for it."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None or stream.closed:
            continue
        try:
            stream.flush()
        except BrokenPipeError:
            _discard(stream)
            raise
        except OSError as error:
            _discard(stream)
            raise GrainError([_no_room(error)]) from error


def _discard(stream: object) -> None:
    """Make Python's own flush at exit go nowhere."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[attr-defined]


@contextmanager
def signals_restored() -> Iterator[None]:
    """Restore the handler of SIGTERM at the end: :func:`main` may be called from Python."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None:  # None: not installed from Python, and not restorable
            signal.signal(signal.SIGTERM, before)


def unfinished_files_removed() -> None:
    """Make SIGTERM raise an exception, so that unfinished files are removed.

    Commands that write nothing keep the system's own handler: it works even while a library is
    busy and Python cannot react.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt

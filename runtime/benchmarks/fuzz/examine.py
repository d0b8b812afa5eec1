"""What is tried with a file: the command as users run it, and the road from a spec to its plan."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from case import Wrong, step

from grainspec import GrainError, bind, compile, dumps, from_json, load, parse, parse_all, to_json
from grainspec.cli import main
from grainspec.clip.crop import frame_crop, frame_numbers
from grainspec.clip.facts import probe
from grainspec.diagnostics.render import render
from grainspec.model.spec import EditSpec
from grainspec.testing import word_backbone
from grainspec.text.format import format_text

UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
MOST_FRAMES = 8
"""More frames of a clip are not decoded here; what has no end is found while they are counted."""


@step
def command(*words: object) -> int:
    """Run ``grain`` in this process; return its exit code, and raise Wrong for what must not be."""
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["grain", *map(str, words)]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as ended:
        code = ended.code
    finally:
        sys.argv = before
    said = out.getvalue() + err.getvalue()
    if code not in {0, 1} or "G900" in said:
        raise Wrong(f"exit code {code}: {said[-5000:]}")
    if found := UNSAFE.search(said):
        raise Wrong(
            f"a control character is printed: {said[max(0, found.start() - 200) :][:400]!r}"
        )
    if words[-1] == "json":
        json.loads(out.getvalue())
    return int(code)


@contextmanager
def refusable() -> Iterator[None]:
    """Errors with codes are what is wanted; they must have something to say."""
    try:
        yield
    except GrainError as error:
        if not error.diagnostics or not all(found.message for found in error.diagnostics):
            raise Wrong("an error says nothing") from error


def text(written: str) -> None:
    """What must hold of any text: findings in its lines, and forms that are read back alike."""
    parsed = step(parse_all)(written)
    lines = parsed.source.split("\n")
    if parsed.spec is None and not any(found.is_error for found in parsed.diagnostics):
        raise Wrong("no spec and no error")
    for found in parsed.diagnostics:
        span = found.span
        if span and not (
            1 <= span.line <= len(lines) and 1 <= span.column <= len(lines[span.line - 1]) + 1
        ):
            raise Wrong(f"a finding outside the text: {found}")
    if UNSAFE.search(render(parsed.diagnostics, source=parsed.source, path="a\x1b").plain):
        raise Wrong("a control character is printed")
    with refusable():
        laid_out = step(format_text)(written)
        if format_text(laid_out) != laid_out or parse_all(laid_out).spec != parsed.spec:
            raise Wrong("formatting changes the spec, or is not stable")
    if parsed.spec is not None:
        if parse(dumps(parsed.spec)) != parsed.spec:
            raise Wrong("the text of the spec is another spec")
        if from_json(to_json(parsed.spec)) != parsed.spec:
            raise Wrong("the JSON of the spec is another spec")


@step
def document(written: str) -> None:
    """What must hold of any JSON document."""
    with refusable():
        spec = from_json(written)
        if from_json(to_json(spec)) != spec:
            raise Wrong("the JSON of the spec is another spec")


def plans(path: Path, *, most: int = 3) -> int:
    """Bind and compile a spec and some of its variants; return the number of plans."""
    done = 0
    with refusable():
        whole = load(path)
        chosen: list[Any] = [None] if whole.target and whole.changes else []
        for name in [*chosen, *whole.variant_names][:most]:
            _plan(whole.as_variant(name) if name else whole.without_variants(), path.parent)
            done += 1
    return done


@step
def _plan(spec: EditSpec, base: Path) -> None:
    compile(spec, bind(spec, base=base).edits, word_backbone())


@step
def frames(spec: EditSpec, base: Path) -> None:
    """Decode the first frames that a spec edits."""
    from grainspec_runtime.media.decode import decode_frames

    with refusable():
        path = base / spec.video.path
        facts = probe(path)
        chosen = frame_numbers(spec.video, facts)[:MOST_FRAMES]
        decode_frames(path, chosen, frame_crop(spec.video, facts))


def whole(path: Path) -> str:
    """Everything that is done with a spec before a model: ``fine`` or ``refused``."""
    code = command("check", path, "--format", "json")
    done = plans(path)
    with refusable():
        frames(load(path), path.parent)
    return "fine" if code == 0 and done else "refused"

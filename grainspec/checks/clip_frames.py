"""Decode the frames that an edit uses: damage and transparency are found before a model is loaded.

Frames up to the last one that is used are decoded, but not scaled or kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from grainspec.clip.colours import HDR, has_alpha
from grainspec.clip.facts import ClipFacts, damaged, still_images
from grainspec.clip.images import open_image, transparency, unreadable, upright
from grainspec.clip.video import BrokenFrame, open_video
from grainspec.diagnostics import Diagnostic, GrainError, fail
from grainspec.diagnostics.span import Span
from grainspec.model.expressions import Box, During, Expression, Find, Polygon, Track, children
from grainspec.model.spec import EditSpec, Video
from grainspec.shell import shell_path

_INVISIBLE = 0.0005
"""The share of a frame below which transparency is not worth a word: a few pixels of an edge."""

_TO_SDR = (
    "ffmpeg -i {} -vf zscale=t=linear:npl=203,tonemap=mobius,zscale=p=bt709:t=bt709:m=bt709:r=tv,"
    "format=yuv420p -crf 12 sdr.mp4"
)


Progress = Callable[[int, int], None]
"""Called with the number of frames that are read, and of those that will be."""


def no_progress(done: int, total: int) -> None:
    """Show no progress."""


def check_frames(
    video: Video,
    path: Path,
    facts: ClipFacts,
    frames: Sequence[int],
    progress: Progress = no_progress,
) -> list[Diagnostic]:
    """Check the frames of a clip that an edit uses, by decoding them."""
    findings = []
    try:
        _require_known_colours(path, video)
        shares = list(_transparency(path, frames, video.span_of("path"), progress))
    except GrainError as error:
        return list(error.diagnostics)
    clear = [number for number, share in shares if share > _INVISIBLE]
    if clear and video.alpha is None:
        message = f"{video.path} is transparent in part on {len(clear)} of {len(frames)} frames"
        message += f", first on frame {clear[0]}"
        cure = 'It is put on black. To state a colour, write `alpha "#000000"` in `video { … }`.'
        findings.append(Diagnostic("G333", message, cure, video.span_of("path")))
    elif video.alpha is not None and not clear:
        message = "`alpha` has no effect: no frame is transparent"
        findings.append(Diagnostic("G111", message, "Remove it.", video.span_of("alpha")))
    if facts.transfer in HDR:
        message = f"{video.path} is HDR ({HDR[facts.transfer]})"
        cure = (
            "The edit is SDR: its highlights are compressed, as in ITU-R BT.2390. To choose "
            f"otherwise, convert the clip first: `{_TO_SDR.format(shell_path(video.path))}`."
        )
        findings.append(Diagnostic("G334", message, cure, video.span_of("path")))
    return findings


def _require_known_colours(path: Path, video: Video) -> None:
    """Raise GrainError (G302) if a clip's colours would be decoded wrongly."""
    if still_images(path) is not None:
        return
    with open_video(path) as reader:
        unknown = reader.tags.not_read
    if unknown:
        message = f"{video.path} has {unknown}, which is not decoded"
        raise fail("G302", message, "Export it again in BT.709.", video.span_of("path"))


def broken_frame(path: Path, frames: Sequence[int], span: Span | None) -> list[Diagnostic]:
    """Find the first frame of a clip that cannot be decoded, up to the last of ``frames``."""
    try:
        for _ in _transparency(path, frames, span, no_progress):
            pass
    except GrainError as error:
        return list(error.diagnostics)
    return []


def check_numbering(spec: EditSpec, path: Path, facts: ClipFacts) -> list[Diagnostic]:
    """Warn if a spec has frame numbers, and those in the names of the frames' files differ."""
    video = spec.video
    if not facts.first or not _frame_numbers(spec):
        return []
    images = still_images(path) or []
    names = " and ".join(f"frame {k} is {image.name}" for k, (_, image) in enumerate(images[:2]))
    message = f"frames are counted from 0: in {video.path}, {names}"
    cure = f"If the spec means the numbers of the files, subtract {facts.first} from each. Masks "
    cure += "that have the files' numbers keep these."
    return [Diagnostic("G336", message, cure, video.span_of("frames" if video.frames else "path"))]


def _frame_numbers(spec: EditSpec) -> bool:
    """Whether a spec names frames: in `frames`, in keyframes, or with `during`."""

    def names(expression: Expression) -> bool:
        if isinstance(expression, Box | Polygon):
            return any(key.frame is not None for key in expression.keyframes)
        if isinstance(expression, Track):
            return any(prompt.frame is not None for prompt in expression.prompts)
        if isinstance(expression, Find):
            return expression.frame is not None
        return isinstance(expression, During) or any(map(names, children(expression)))

    return spec.video.frames is not None or any(names(r.expression) for r in spec.regions)


def _transparency(
    path: Path, frames: Sequence[int], span: Span | None, progress: Progress
) -> Iterator[tuple[int, float]]:
    """How transparent each of these frames is; raises GrainError (G302) for broken ones."""
    images = still_images(path)
    if images is None:
        yield from _of_video(path, frames, span, progress)
        return
    for done, number in enumerate(frames, start=1):
        place = images[number][1]
        try:
            with open_image(place) as image:
                share = transparency(upright(image))
        except unreadable() as error:
            message = f"{place}, frame {number}, cannot be read as an image: {error}"
            raise fail("G302", message, "Save it again.", span) from error
        progress(done, len(frames))
        yield number, share


def _of_video(
    path: Path, frames: Sequence[int], span: Span | None, progress: Progress
) -> Iterator[tuple[int, float]]:
    used, count, last = set(frames), 0, frames[-1]
    try:
        with open_video(path) as reader:
            for number, frame in enumerate(reader.frames()):
                count += 1
                progress(count, last + 1)
                if number in used and has_alpha(frame):
                    yield number, transparency(reader.picture(frame))
                if number >= last:
                    return
    except BrokenFrame as error:
        raise damaged(path, error, span, frames[0]) from error
    finally:
        progress(last + 1, last + 1)
    message = f"only {count} of {last + 1} frames of {path} can be decoded"
    cure = "Copy or export the file again."
    if count > frames[0]:
        cure = f"{cure[:-1]}, or write `frames {frames[0]}..{count - 1}`."
    raise fail("G302", message, cure, span)

"""Check what becomes of a clip's sound, and whether its rate can be set. Nothing is decoded."""

from __future__ import annotations

from pathlib import Path

from grainspec.clip.container import open_container
from grainspec.clip.facts import still_images
from grainspec.diagnostics import Diagnostic
from grainspec.diagnostics.span import Span
from grainspec.model.spec import Video


def check_sound(video: Video, path: Path) -> list[Diagnostic]:
    """Warn if the edited clip loses the sound, or if `fps` is given for a video file."""
    if still_images(path) is not None:
        return []
    findings = []
    if video.fps is not None:
        message = "`fps` has no effect: a video file has its own frame rate"
        cure = "Remove it. Every n-th frame is edited with `step`."
        findings.append(Diagnostic("G111", message, cure, video.span_of("fps")))
    with open_container(path) as container:
        codecs = [stream.codec_context for stream in container.streams.audio]
    if codecs and video.step > 1:
        message = f"the edited clip will have no sound: `step {video.step}` leaves out frames"
        cure = "To keep the sound, remove `step`."
        findings.append(Diagnostic("G341", message, cure, video.span_of("step")))
    elif None in codecs:
        findings.append(sound_lost(video.path, "its codec is unknown", video.span_of("path")))
    return findings


def sound_lost(path: str, reason: str, span: Span | None) -> Diagnostic:
    """The warning (G341) that a clip's sound cannot be kept."""
    message = f"the edited clip has no sound: the sound of {path} cannot be read: {reason}"
    cure = "Convert it first: `ffmpeg -i INPUT -c:v copy -c:a aac clip.mp4`."
    return Diagnostic("G341", message, cure, span)

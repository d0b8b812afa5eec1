"""Pictures of single frames, and facts of clips, kept to be sent again."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from PIL import Image

from grainspec.clip.facts import ClipFacts, probe
from grainspec_runtime.media.seek import SeekableClip
from grainspec_runtime.studio.kept import Kept
from grainspec_runtime.studio.limits import MAX_CACHED_BYTES, MAX_WIDTH

_OPEN_CLIPS = 4
_FACTS = 64
_QUALITY = 88
State = tuple[str, int, int]


def state_of(path: Path) -> State:
    """A file's or a folder's path, size and date, which change when it does."""
    try:
        facts = path.stat()
    except (OSError, ValueError):
        return str(path), 0, 0
    return str(path), facts.st_size, facts.st_mtime_ns


class FrameStore:
    """Frames of clips as RGB, as JPEG and as PNG, and clips' facts."""

    def __init__(self) -> None:
        self._clips: Kept[SeekableClip] = Kept(_OPEN_CLIPS, drop=SeekableClip.close)
        self._pictures: Kept[bytes] = Kept(MAX_CACHED_BYTES, len)
        self._facts: Kept[ClipFacts] = Kept(_FACTS)

    def facts(self, path: Path, fps: float | None = None) -> ClipFacts:
        """A clip's facts; raises GrainError as :func:`grainspec.clip.facts.probe` does."""
        return self._facts.made((state_of(path), fps), lambda: probe(path, fps=fps))

    def frame(self, path: Path, number: int, background: str | None = None) -> Image.Image:
        """A frame of a clip, RGB; raises GrainError (G302)."""
        key = state_of(path), background
        return self._clips.made(key, lambda: SeekableClip(path, background)).frame(number)

    def jpeg(self, path: Path, number: int, width: int | None, background: str | None) -> bytes:
        """A frame as JPEG, scaled down to ``width`` pixels if it is wider."""

        def make() -> bytes:
            picture = self.frame(path, number, background)
            wide = min(width or MAX_WIDTH, MAX_WIDTH)
            if picture.width > wide:
                high = max(1, round(picture.height * wide / picture.width))
                picture = picture.resize((wide, high), Image.Resampling.BILINEAR, reducing_gap=2)
            return encoded(picture, "JPEG", quality=_QUALITY)

        return self._pictures.made(("jpeg", state_of(path), number, width, background), make)

    def png(self, key: tuple[object, ...], make: Callable[[], Image.Image]) -> bytes:
        """A picture as PNG; it is made if it is not kept."""
        return self._pictures.made(key, lambda: encoded(make(), "PNG", compress_level=3))


def encoded(picture: Image.Image, format: str, **options: object) -> bytes:
    """A picture as the bytes of a file."""
    file = BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()

"""The frames of a clip for trackers: in its own size, in any order, within bounded memory."""

from __future__ import annotations

from collections import OrderedDict

from grainspec.clip.crop import FrameCrop
from grainspec.regions.tracked.sources import TrackedClip
from grainspec_runtime.media.decode import Frames, decode_frames
from grainspec_runtime.tracking.engine import Frame

MAX_BYTES = 1 << 29
"""Bytes of decoded frames that are kept."""
_CHUNKS = 2


class ClipFrames:
    """Reads the source frames of a clip that are tracked, as a :class:`FrameReader`.

    Frames are decoded in chunks, and the last two chunks are kept: going forwards or backwards
    decodes each chunk once. A chunk of a video is decoded from the file's beginning; chunks are
    large, so that this happens rarely.
    """

    def __init__(self, clip: TrackedClip, *, max_bytes: int = MAX_BYTES) -> None:
        wide, high = clip.size
        self._path, self._frames, self._size = clip.path, clip.frames, clip.size
        box = (0.0, 0.0, float(wide), float(high))
        self._crop = FrameCrop(box, wide, high, background=clip.spec.video.alpha)
        self._length = max(1, max_bytes // (_CHUNKS * 3 * wide * high))
        self._chunks: OrderedDict[int, Frames] = OrderedDict()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._size

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Frame:
        """One frame, uint8 ``[H, W, 3]``; ``index`` counts from the first frame that is tracked.

        Raises IndexError past the last frame, GrainError (G302) if it cannot be decoded.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        number, place = divmod(index, self._length)
        if number not in self._chunks:
            while len(self._chunks) >= _CHUNKS:
                self._chunks.popitem(last=False)
            wanted = self._frames[number * self._length : (number + 1) * self._length]
            self._chunks[number] = decode_frames(self._path, wanted, self._crop)
        self._chunks.move_to_end(number)
        frame: Frame = self._chunks[number][place]
        return frame

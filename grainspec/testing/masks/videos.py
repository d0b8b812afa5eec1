"""Masks as videos: lossless and lossy codecs, colours, and rates that differ from the clip's."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from grainspec.regions.layout import Mask
from grainspec.testing.masks.images import coloured, ids, least, levels
from grainspec.testing.masks.written import Values, Writer, Written, white

_RATE = 8


def write_video(
    path: Path,
    pictures: Sequence[Values] | Values,
    codec: str,
    pix_fmt: str,
    *,
    rate: int = _RATE,
    options: dict[str, str] | None = None,
) -> None:
    """Encode grey pictures ``[H, W]`` or colours ``[H, W, 3]``."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.options = pix_fmt, options or {}
        for number, picture in enumerate(pictures):
            kind = "gray" if picture.ndim == 2 else "rgb24"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=kind)
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _video(name: str, codec: str, pix_fmt: str, **options: str) -> Writer:
    def write(folder: Path, masks: Mask) -> Written:
        write_video(folder / name, white(masks), codec, pix_fmt, options=options)
        return Written(f'masks("{name}")')

    return write


def _grey(values: Any, options: str) -> Writer:
    def write(folder: Path, masks: Mask) -> Written:
        write_video(folder / "m.mkv", values(masks).astype(np.uint8), "ffv1", "gray")
        return Written(f'masks("m.mkv", {options})')

    return write


def _colours(folder: Path, masks: Mask) -> Written:
    write_video(folder / "m.mov", coloured(masks, (128, 0, 3)), "png", "rgb24")
    return Written('masks("m.mov", colour "#800003")')


def _shown(rate: int, options: str, warning: str | None, times: int = 1) -> Writer:
    """A clip as a video, and masks of another rate; between those of two frames are others.

    A clip of two frames is too short to tell rates apart.
    """

    def write(folder: Path, masks: Mask) -> Written:
        if len(masks) < 3:
            masks = np.concatenate([masks, masks, masks])
        write_video(folder / "clip.mkv", np.full(masks.shape, 90, np.uint8), "ffv1", "gray")
        between = [masks, *[~masks] * (times - 1)]
        every = np.stack(between, axis=1).reshape(-1, *masks.shape[1:])
        write_video(folder / "m.mkv", white(every), "ffv1", "gray", rate=rate)
        warnings = frozenset({warning} if warning else ())
        return Written(f'masks("m.mkv"{options})', masks, 'video "clip.mkv"', warnings)

    return write


def _from(folder: Path, masks: Mask) -> Written:
    every = np.concatenate([~masks[:1], masks])
    write_video(folder / "m.mkv", white(every), "ffv1", "gray")
    return Written('masks("m.mkv", from 1)')


def video_formats() -> dict[str, Writer]:
    """Writers of videos, by what they write."""
    fifth = least(Fraction(20, 100), 255)
    return {
        "video, FFV1 in Matroska": _video("m.mkv", "ffv1", "gray"),
        "video, FFV1 of colours": _video("m.mkv", "ffv1", "bgr0"),
        "video, PNG in MOV": _video("m.mov", "png", "gray"),
        "video, FFV1 in AVI": _video("m.avi", "ffv1", "gray"),
        "video, H.264 in MP4": _video("m.mp4", "libx264", "yuv444p", crf="0"),
        "video, index 2": _grey(lambda masks: ids(masks, 2, 9), "index 2"),
        "video, index 0": _grey(lambda masks: ids(masks, 0, 9), "index 0"),
        "video, inverted": _grey(lambda masks: white(~masks), "invert"),
        "video, threshold 20%": _grey(lambda m: levels(m, fifth, 255), "threshold 20%"),
        "video, colour": _colours,
        "video, from 1": _from,
        "video of the clip's rate": _shown(_RATE, "", None),
        "video of twice the rate, by time": _shown(2 * _RATE, "", "G324", times=2),
        "video of another rate, in order": _shown(3 * _RATE, ", in_order", None),
        "video of another rate and as many frames": _shown(3 * _RATE, "", "G324"),
    }

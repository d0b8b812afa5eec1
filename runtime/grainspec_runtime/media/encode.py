"""Encode frames as H.264, which every player supports, or losslessly as FFV1."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np

from grainspec_runtime.media.decode import Frames

_BT601 = 6  # FFmpeg's AVCOL_SPC_SMPTE170M


def encode_video(
    frames_FHW3: Frames,
    path: Path | BinaryIO,
    *,
    fps: float,
    crf: int = 14,
    container: str | None = None,
) -> None:
    """Write frames, uint8 ``[F, H, W, 3]`` RGB, as H.264.

    ``path`` is a file or a seekable stream. Its suffix selects the container, unless ``container``
    names one. Odd sides are padded by one pixel because 4:2:0 chroma needs even sizes. ``crf`` is
    x264's quality; lower is better.
    """
    _, height, width, _ = frames_FHW3.shape
    padded = np.pad(frames_FHW3, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    place = str(path) if isinstance(path, Path) else path
    with av.open(place, "w", format=container) as file:
        stream = file.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height = padded.shape[2], padded.shape[1]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.colorspace = _BT601  # PyAV converts with it; otherwise players guess
        stream.options = {"crf": str(crf), "preset": "slow"}
        for picture in padded:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())


def encode_lossless(frames_FHW3: Frames, path: Path, *, fps: float) -> None:
    """Write frames, uint8 ``[F, H, W, 3]`` RGB, losslessly as FFV1 in Matroska.

    H.264's 4:2:0 halves the resolution of colour. In unedited areas that loss is larger than the
    change most edits make, so clips that are measured or processed further are stored losslessly.
    """
    _, height, width, _ = frames_FHW3.shape
    with av.open(str(path), "w", format="matroska") as file:
        stream = file.add_stream("ffv1", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "bgr0"
        for picture in frames_FHW3:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            file.mux(stream.encode(frame.reformat(format="bgr0")))
        file.mux(stream.encode())

"""Small clips, masks, annotations and runs that are right, to be spoilt."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from grainspec import bind, compile, parse
from grainspec.plan.save import save_plan
from grainspec.testing import word_backbone
from grainspec_runtime.media.encode import encode_lossless

FRAMES, HEIGHT, WIDTH = 4, 48, 64

BASE = "@folder@"
"""Stands for the case's folder in the files of a run."""

Files = dict[str, bytes]
"""Files by their path in a case's folder."""


@cache
def pixels() -> np.ndarray:
    """A clip, uint8 ``[F, H, W, 3]``."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (FRAMES, HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


@cache
def region() -> np.ndarray:
    """The left half, bool ``[F, H, W]``."""
    mask = np.zeros((FRAMES, HEIGHT, WIDTH), np.bool_)
    mask[:, :, : WIDTH // 2] = True
    return mask


def image(array: np.ndarray, format: str, **options: Any) -> bytes:
    """An image file."""
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, format=format, **options)
    return stream.getvalue()


def spec(clip: str, masks: str) -> Files:
    """A spec with a clip and the arguments of its `masks(…)`."""
    text = f'grain 1\nvideo "{clip}" {{ size 64x48 }}\ntarget "a green robot on grass"\n'
    text += f'region left = masks({masks})\nedit instance left -> "green robot"\n'
    return {"edit.grain": text.encode()}


@cache
def video(suffix: str, codec: str, pixel_format: str, container: str) -> bytes:
    """The clip in a container."""
    stream = io.BytesIO()
    with av.open(stream, "w", format=container) as file:
        track = file.add_stream(codec, rate=8)
        track.width, track.height, track.pix_fmt = WIDTH, HEIGHT, pixel_format
        for picture in pixels():
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format=pixel_format
            )
            file.mux(track.encode(frame))
        file.mux(track.encode())
    return stream.getvalue()


VIDEOS = {
    "mp4": ("libx264", "yuv420p", "mp4"),
    "mov": ("mjpeg", "yuvj420p", "mov"),
    "mkv": ("ffv1", "bgr0", "matroska"),
    "webm": ("libvpx-vp9", "yuv420p", "webm"),
    "avi": ("mpeg4", "yuv420p", "avi"),
    "gif": ("gif", "rgb8", "gif"),
    "ts": ("mpeg2video", "yuv420p", "mpegts"),
}
IMAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "png": ("PNG", {}),
    "jpg": (
        "JPEG",
        {
            "exif": b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03"
            b"\x00\x00\x00\x01\x00\x03\x00\x00\x00\x00\x00\x00"
        },
    ),
    "webp": ("WEBP", {"lossless": True}),
    "tif": ("TIFF", {"compression": "tiff_lzw"}),
    "bmp": ("BMP", {}),
}


def _clip_video(suffix: str) -> Files:
    return {
        f"clip.{suffix}": video(suffix, *VIDEOS[suffix]),
        **_mask_pngs(),
        **spec(f"clip.{suffix}", '"m"'),
    }


def _clip_images(suffix: str) -> Files:
    kind, options = IMAGES[suffix]
    frames = {
        f"clip/{n:05}.{suffix}": image(frame, kind, **options) for n, frame in enumerate(pixels())
    }
    return {**frames, **_mask_pngs(), **spec("clip", '"m"')}


def _frames() -> Files:
    return {f"clip/{n:05}.png": image(frame, "PNG") for n, frame in enumerate(pixels())}


def _mask_pngs() -> Files:
    return {
        f"m/{n:05}.png": image(mask.astype(np.uint8) * 255, "PNG")
        for n, mask in enumerate(region())
    }


def _masks(arguments: str, files: Files) -> Files:
    return {**_frames(), **files, **spec("clip", arguments)}


def _mask_images(suffix: str) -> Files:
    kind, options = IMAGES[suffix]
    files = {
        f"m/{n:05}.{suffix}": image(mask.astype(np.uint8) * 255, kind, **options)
        for n, mask in enumerate(region())
    }
    return _masks('"m"', files)


def _palette() -> Files:
    files = {}
    for number, mask in enumerate(region()):
        picture = Image.fromarray(mask.astype(np.uint8))
        picture.putpalette([0, 0, 0, 128, 0, 0] + [7] * 30)
        stream = io.BytesIO()
        picture.save(stream, "PNG")
        files[f"m/{number:05}.png"] = stream.getvalue()
    return _masks('"m", index 1', files)


def _sixteen_bits() -> Files:
    files = {
        f"m/{n}.png": image(mask.astype(np.uint16) * 65535, "PNG")
        for n, mask in enumerate(region())
    }
    return _masks('"m"', files)


def _colours() -> Files:
    files = {}
    for number, mask in enumerate(region()):
        files[f"m/{number}.png"] = image(mask[..., None] * np.array([128, 0, 0], np.uint8), "PNG")
    return _masks('"m", colour "#800000"', files)


def _npy(dtype: str, order: Any = "C") -> Files:
    stream = io.BytesIO()
    np.save(stream, np.asarray(region().astype(dtype), order=order))
    return _masks('"m.npy"', {"m.npy": stream.getvalue()})


def _npz() -> Files:
    stream = io.BytesIO()
    np.savez_compressed(stream, left=region(), other=np.zeros(3))
    return _masks('"m.npz", array "left"', {"m.npz": stream.getvalue()})


def _run_lengths(mask: np.ndarray) -> list[int]:
    flat = mask.T.reshape(-1)
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, flat.size]).tolist()
    return [0, *runs] if flat[0] else runs


def _compressed(runs: list[int]) -> str:
    text = ""
    for number, run in enumerate(runs):
        value = run - runs[number - 2] if number > 2 else run
        more = True
        while more:
            bits, value = value & 0x1F, value >> 5
            more = value != (-1 if bits & 0x10 else 0)
            text += chr(bits + (0x20 if more else 0) + 48)
    return text


def _coco(kind: str) -> Files:
    size = [HEIGHT, WIDTH]
    runs = [{"size": size, "counts": _run_lengths(mask)} for mask in region()]
    short = [{"size": size, "counts": _compressed(_run_lengths(mask))} for mask in region()]
    corners = [[0, 0, WIDTH / 2, 0, WIDTH / 2, HEIGHT, 0, HEIGHT]]
    images = [
        {"id": n + 1, "file_name": f"{n:05}.png", "width": WIDTH, "height": HEIGHT}
        for n in range(FRAMES)
    ]
    forms: dict[str, Any] = {
        "list": runs,
        "compressed": {"segmentations": [*short[:-1], None]},
        "dataset": {
            "images": images,
            "annotations": [
                {
                    "id": n,
                    "image_id": n + 1,
                    "category_id": 1,
                    "segmentation": corners,
                    "iscrowd": 0,
                }
                for n in range(FRAMES)
            ],
            "categories": [{"id": 1, "name": "man"}],
        },
        "video": {
            "videos": [
                {
                    "id": 1,
                    "length": FRAMES,
                    "width": WIDTH,
                    "height": HEIGHT,
                    "file_names": ["x"] * 4,
                }
            ],
            "annotations": [{"id": 1, "video_id": 1, "category_id": 1, "segmentations": short}],
        },
    }
    return _masks('"m.json"', {"m.json": json.dumps(forms[kind]).encode()})


def _corners() -> list[tuple[float, float]]:
    """The left half's outline."""
    return [(0, 0), (WIDTH / 2, 0), (WIDTH / 2, HEIGHT), (0, HEIGHT)]


def _cvat() -> Files:
    points = ";".join(f"{x},{y}" for x, y in _corners())
    shapes = "".join(
        f'<polygon frame="{n}" outside="0" occluded="0" keyframe="1" points="{points}"/>'
        for n in range(FRAMES)
    )
    head = "<meta><task><size>4</size><original_size><width>64</width><height>48</height>"
    head += "</original_size></task></meta>"
    text = f'<?xml version="1.0"?><annotations><version>1.1</version>{head}'
    text += f'<track id="0" label="man">{shapes}</track></annotations>'
    return _masks('"m.xml"', {"m.xml": text.encode()})


def _labelme() -> Files:
    shape = {"label": "man", "points": _corners(), "shape_type": "polygon", "group_id": None}
    one = {"version": "5", "shapes": [shape], "imageHeight": HEIGHT, "imageWidth": WIDTH}
    return _masks('"m"', {f"m/{n:05}.json": json.dumps(one).encode() for n in range(FRAMES)})


def _yolo() -> Files:
    line = "0 " + " ".join(f"{x / WIDTH} {y / HEIGHT}" for x, y in _corners()) + "\n"
    return _masks('"m"', {f"m/{n:05}.txt": line.encode() for n in range(FRAMES)})


def _arrays() -> Files:
    files = {}
    for number, mask in enumerate(region()):
        stream = io.BytesIO()
        np.save(stream, mask)
        files[f"m/{number:05}.npy"] = stream.getvalue()
    return _masks('"m"', files)


def _mask_video() -> Files:
    return _masks('"m.mkv"', {"m.mkv": _mask_mkv()})


@cache
def _mask_mkv() -> bytes:
    stream = io.BytesIO()
    with av.open(stream, "w", format="matroska") as file:
        track = file.add_stream("ffv1", rate=8)
        track.width, track.height, track.pix_fmt = WIDTH, HEIGHT, "gray"
        for mask in region():
            frame = av.VideoFrame.from_ndarray(mask.astype(np.uint8) * 255, format="gray")
            file.mux(track.encode(frame))
        file.mux(track.encode())
    return stream.getvalue()


@cache
def run_folder(place: Path) -> Files:
    """A finished run's files; ``place`` is an empty folder to make them in."""
    for name, content in {**_frames(), **_mask_pngs(), **spec("clip", '"m"')}.items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(content)
    wanted = parse((place / "edit.grain").read_text())
    plan = compile(wanted, bind(wanted, base=place).edits, word_backbone())
    save_plan(plan, place / "plan.safetensors")
    encode_lossless(pixels(), place / "edited.mkv", fps=8)
    manifest = {
        "spec": wanted.model_dump(mode="json", by_alias=True),
        "variant": None,
        "arguments": ["run", "edit.grain"],
        "base": BASE,
        "seed": 0,
        "model": "demo",
        "device": "cpu",
        "dtype": "float32",
        "clip": {"path": "clip", "frames": [0, 1, 2, 3], "fps": 8.0, "edited_size": [64, 48]},
        "timesteps": [999.0, 500.0, 1.0],
        "resumed_at_step": 3,
        "seconds": {"invert": 1.5, "sample": 2.25},
        "peak_memory_bytes": 123456789,
        "warnings": [{"code": "G103", "message": "x", "cure": "y"}],
        "versions": {"python": "3.11"},
    }
    measures = {
        "measures": [
            {"name": "psnr", "title": "PSNR", "value": 31.5},
            {"title": "x", "reason": "y"},
        ]
    }
    pair = {"without": 0.5, "with": 0.75}
    study = {
        "edits": [{"region": "left", "phrase": "x", "words_inside": pair, "tokens_inside": pair}]
    }
    files = {name: (place / name).read_bytes() for name in ("plan.safetensors", "edited.mkv")}
    files = {f"run/{name}": content for name, content in files.items()}
    for name, value in (("run", manifest), ("measures", measures), ("study", study)):
        files[f"run/{name}.json"] = json.dumps(value).encode()
    return {**_frames(), **files}


MATERIALS: dict[str, Callable[[], Files]] = {
    **{f"clip .{suffix}": lambda suffix=suffix: _clip_video(suffix) for suffix in VIDEOS},  # type: ignore[misc]
    **{f"frames .{suffix}": lambda suffix=suffix: _clip_images(suffix) for suffix in IMAGES},  # type: ignore[misc]
    **{f"masks .{suffix}": lambda suffix=suffix: _mask_images(suffix) for suffix in IMAGES},  # type: ignore[misc]
    "masks, palette": _palette,
    "masks, 16 bits": _sixteen_bits,
    "masks, colours": _colours,
    "masks, video": _mask_video,
    "masks .npy, bool": lambda: _npy("bool"),
    "masks .npy, uint8": lambda: _npy("uint8"),
    "masks .npy, other order": lambda: _npy(">i4", "F"),
    "masks .npz": _npz,
    "masks .npy, a folder": _arrays,
    "masks, CVAT": _cvat,
    "masks, LabelMe": _labelme,
    "masks, YOLO": _yolo,
    **{
        f"masks, COCO {kind}": lambda kind=kind: _coco(kind)
        for kind in ("list", "compressed", "dataset", "video")
    },  # type: ignore[misc]
}
"""What can be spoilt, by its name in the table: each has a spec that is fine."""

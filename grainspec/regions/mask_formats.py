"""Formats that masks come in and that are not read: their names, and how to get what is read."""

from __future__ import annotations

from pathlib import Path, PurePath

from grainspec.diagnostics import fail
from grainspec.model.expressions import MaskFiles

_TAR = "mkdir {folder} && tar -xf {name} -C {folder}"
_ARCHIVES = {
    ".zip": "unzip {name} -d {folder}",
    ".tar": _TAR,
    ".gz": _TAR,
    ".tgz": _TAR,
    ".7z": "7z x {name} -o{folder}",
}

_OTHER = {
    ".rar": ("a RAR archive", "Unpack it into a folder, and name the folder."),
    ".pkl": (
        "a Python pickle, which can run any program",
        "Save the array: `numpy.save(path, m)`.",
    ),
    ".pt": ("a PyTorch file", "Save the array: `numpy.save(path, masks.cpu().numpy())`."),
    ".pth": ("a PyTorch file", "Save the array: `numpy.save(path, masks.cpu().numpy())`."),
    ".mat": ("a MATLAB file", "Save the array: `numpy.save(path, scipy.io.loadmat(file)[name])`."),
    ".h5": ("an HDF5 file", "Save the array: `numpy.save(path, h5py.File(file)[name][:])`."),
    ".tfrecord": ("a TFRecord file", "Export the masks as COCO JSON or PNG."),
    ".csv": ("a table", "Export the masks as COCO JSON or PNG."),
    ".parquet": ("a table", "Export the masks as COCO JSON or PNG."),
    ".exr": ("an OpenEXR image", "Convert it to PNG in black and white."),
    ".psd": ("a Photoshop document", "Export the mask as PNG in black and white."),
    ".svg": ("a drawing in SVG", "Export it as PNG in black and white."),
    ".heic": ("a HEIC image", "Convert it to PNG in black and white."),
    ".gif": ("a GIF", "Convert it: `ffmpeg -i masks.gif masks/%05d.png`, then write `from 1`."),
    ".ndjson": ("a list of JSON documents", "Export the masks as COCO JSON or PNG."),
    ".jsonl": ("a list of JSON documents", "Export the masks as COCO JSON or PNG."),
    ".yaml": ("a description of a data set", "Name the folder with the label files."),
    ".yml": ("a description of a data set", "Name the folder with the label files."),
}


def refuse_unread(source: MaskFiles, path: Path) -> None:
    """Raise GrainError (G323) if a file has a format that is known and not read."""
    suffix = path.suffix.lower()
    if suffix in _ARCHIVES:
        folder = path.name.partition(".")[0]
        message = f"the masks {path} are an archive"
        command = _ARCHIVES[suffix].format(name=path.name, folder=folder)
        beside = (PurePath(source.path).parent / folder).as_posix()
        cure = f'Unpack it (`{command}`) and name the folder: `masks("{beside}")`.'
        raise fail("G323", message, cure, source.span)
    if suffix in _OTHER:
        what, cure = _OTHER[suffix]
        raise fail("G323", f"the masks {path} are {what}", cure, source.span)

"""MSVBench's layout (IMAGEdit, now ASTRA; arXiv 2510.01186): clips, masks, and a table of prompts.

    source/NAME.mp4   the clips
    mask/NAME.mp4     their masks: all subjects of a clip are white
    info.xlsx         the prompts

The columns of `info.xlsx` are documented nowhere, so the prompts are read from `info.csv`: the same
table with the columns `video` (NAME), `prompt` (the target prompt) and `words` (those of the prompt
that name the subjects), and optionally `source` (a prompt for the clip). The authors' code has the
folders `ori_video` and `mask_video`; both are read.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path

from grainspec import Builder, masks
from grainspec.diagnostics import GrainError, fail
from grainspec.model.spec import EditSpec
from grainspec.regular_file import files_in, read_bytes
from grainspec_runtime.bench.methods import failure_of
from grainspec_runtime.bench.own.layouts import (
    ClipEdit,
    Found,
    first_frames,
    plain_name,
    text_of,
)

_FOLDERS = (("source", "mask"), ("ori_video", "mask_video"))
_TABLES = ("info.csv", "info.xlsx")
_COLUMNS = ("video", "prompt", "words")
_MOST_BYTES = 10_000_000
_Row = dict[str, str]


class MsvBench:
    """MSVBench, with its prompts as CSV."""

    name = "MSVBench (`source/`, `mask/`, `info.csv` with the columns `video`, `prompt`, `words`)"

    def find(self, folder: Path) -> Found | None:
        """Read all rows of the table; those whose clip or mask is missing are left out.

        Raises GrainError (G586) if the table cannot be read.
        """
        for root in (folder, folder / "MSVBench"):
            for clips, areas in _FOLDERS:
                if not ((root / clips).is_dir() and (root / areas).is_dir()):
                    continue
                if any((root / table).is_file() for table in _TABLES):
                    return self._read(root, clips, areas)
        return None

    def _read(self, root: Path, clips: str, areas: str) -> Found:
        edits: list[ClipEdit] = []
        try:
            rows = _rows(root / _TABLES[0])
            sources, mask_files = (_by_name(root / folder) for folder in (clips, areas))
        except (OSError, ValueError, csv.Error) as error:
            raise _unread(root / _TABLES[0], error) from error
        left_out: dict[str, str] = {}
        seen: Counter[str] = Counter()
        for number, row in enumerate(rows, 2):  # the first line has the names of the columns
            name = row.get("video") or f"line {number}"
            seen[name] += 1
            name += f"-{seen[name]}" if seen[name] > 1 else ""
            try:
                edits.append(ClipEdit(name, _spec(row, root, sources, mask_files), root))
            except GrainError as error:
                left_out[name] = failure_of(error)
            except ValueError as error:
                left_out[name] = f"unusable row: {error}"
        return Found(self.name, edits, left_out)


def _spec(row: _Row, root: Path, sources: dict[str, str], mask_files: dict[str, str]) -> EditSpec:
    video, prompt, words = (text_of(row.get(it), f"`{it}`") for it in _COLUMNS)
    name = Path(plain_name(video)).stem if video not in sources else video
    if name not in sources:
        raise ValueError("its clip is not here")
    if name not in mask_files:
        raise ValueError("its mask is not here")
    builder = Builder(sources[name], frames=first_frames(root / sources[name]))
    # compression makes shades at the borders, and a mask is of the clip's frame of the same number
    area = masks(mask_files[name], in_order=True, threshold=0.5, scaled=True)
    builder = builder.source(row.get("source") or "").target(prompt)
    return builder.region("subjects", area).class_("subjects", words).build()


def _by_name(folder: Path) -> dict[str, str]:
    """The files of a folder by their names without suffix, as paths from the folder above."""
    return {
        path.stem: f"{folder.name}/{path.name}"
        for path in sorted(files_in(folder))
        if not path.name.startswith(".")
    }


def _rows(path: Path) -> list[_Row]:
    """The rows of a table; raises OSError, ValueError or csv.Error if there are none to read."""
    text = read_bytes(path, _MOST_BYTES).decode("utf-8-sig")
    heading = text.partition("\n")[0]
    separator = max(",;\t", key=heading.count)  # of spreadsheets, by the country's custom
    lines = csv.reader(io.StringIO(text), delimiter=separator, strict=True)
    names = [name.strip().lower() for name in next(lines, [])]
    if missing := [f"`{name}`" for name in _COLUMNS if name not in names]:
        raise ValueError(f"it has no column {' and no '.join(missing)}")
    return [
        {name: value.strip() for name, value in zip(names, line, strict=False)}
        for line in lines
        if any(line)
    ]


def _unread(table: Path, error: Exception) -> GrainError:
    reason = str(error)
    if isinstance(error, OSError):
        reason = error.strerror or reason
    if isinstance(error, UnicodeDecodeError):
        reason = "it is not UTF-8"
    columns = ",".join(_COLUMNS)
    cure = (
        f"Save the table of `info.xlsx` as `info.csv` (CSV UTF-8), with the first line `{columns}`."
    )
    return fail("G586", f"the prompts of MSVBench cannot be read: {table}: {reason}", cure)

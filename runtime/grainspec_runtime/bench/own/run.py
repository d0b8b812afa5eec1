"""Edit clips of the user with the benchmark's methods, and measure what needs no exact target."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grainspec.diagnostics import GrainError
from grainspec.model.spec import Edit, EditSpec
from grainspec.regular_file import read_json
from grainspec.whole_file import whole_file
from grainspec_runtime.bench.cost import device_name, measured_cost
from grainspec_runtime.bench.edit import total_seconds
from grainspec_runtime.bench.methods import Method, failure_of, refusal_of
from grainspec_runtime.bench.own.layouts import ClipEdit
from grainspec_runtime.bench.paper_measures import MeasuredClip, Values
from grainspec_runtime.bench.run import clip_digest, file_name, save_clip
from grainspec_runtime.bench.summary import Result
from grainspec_runtime.editing.editor import Editor
from grainspec_runtime.editing.resume import run_key
from grainspec_runtime.measures.clip_model import Clip
from grainspec_runtime.measures.instances import Instance
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.models.additions import digest
from grainspec_runtime.models.fingerprint import content_digest, file_facts, fingerprint
from grainspec_runtime.prepare import Prepared, prepare

VERSION = 1
"""Increase it when results change, so that old and new ones do not mix."""


@dataclass
class OwnBench:
    """The methods, the folder of the results, and the model in use.

    model: a model that takes the place of that of every spec; empty for the specs' own.
    """

    methods: Sequence[Method]
    folder: Path
    device: str
    clip: Clip | None = None
    model: str = ""
    steps: int | None = None
    _editor: Editor | None = None
    _digests: dict[Path, str] = field(default_factory=dict, repr=False)
    """Those of the clips' files, each read once."""

    def run(
        self, edits: Sequence[ClipEdit], progress: Callable[[int, int], None]
    ) -> Iterator[Result]:
        """Make every edit with every method; each result is saved, and not made again.

        ``not_run`` of a result has the methods that cannot make the edit or fail, with the reasons.
        """
        done, total = 0, len(edits) * len(self.methods)
        for one in edits:
            result: Result = {"name": one.name, "target": one.spec.target, "scores": {}}
            result["asked"] = [edit.phrase for edit in one.spec.changes if isinstance(edit, Edit)]
            result["not_run"] = {}
            for method in self.methods:
                progress(done, total)
                self._add(result, one, method)
                done += 1
            yield result
        progress(done, total)

    def _add(self, result: Result, one: ClipEdit, method: Method) -> None:
        """Add a method's scores, or the reason why it cannot make the edit."""
        if method.missing:
            result["not_run"][method.name] = method.missing
            return
        try:
            prepared = prepare(self._spec(one, method), one.base)
        except GrainError as error:
            result["not_run"][method.name] = refusal_of(error)
            return
        path = self.folder / "cases" / file_name(one.name) / f"{file_name(method.name)}.json"
        key = self._key(prepared)
        values = _saved(path, key)
        if values is None:
            try:
                values, source, edited = self._edit(prepared)
            except GrainError as error:
                result["not_run"][method.name] = failure_of(error)
                return
            clips = self.folder / "clips" / file_name(one.name)
            clips.mkdir(parents=True, exist_ok=True)
            save_clip(source, clips / "source.webp")
            save_clip(edited, clips / f"{file_name(method.name)}.webp")
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as partial:
                partial.write_text(json.dumps({"key": key, "values": values}, indent=1) + "\n")
        result["scores"][method.name] = values

    def _spec(self, one: ClipEdit, method: Method) -> EditSpec:
        spec = method.applied(one.spec)
        changes: dict[str, Any] = {"model": self.model} if self.model else {}
        if self.steps:
            changes["sampler"] = spec.sampler.replaced({}, steps=self.steps)
        return spec.replaced({}, **changes)

    def _edit(self, prepared: Prepared) -> tuple[Values, Frames, Frames]:
        editor = self._editor
        if editor is None or editor.model != prepared.spec.model:
            adapter = prepared.spec.motion_adapter
            editor = self._editor = Editor(
                prepared.spec.model, motion_adapter=adapter, device=self.device, use_cache=False
            )
        device = editor.checkpoint(prepared.base).device
        with measured_cost(device) as cost:
            result = editor.run_prepared(prepared)
        clip = measured_clip(prepared, result.source)
        values = clip.values(result.edited, self.clip)
        values |= {"gpu": cost.gpu, "ram": cost.ram, "total": total_seconds(result)}
        return values, result.source, result.edited

    def _key(self, prepared: Prepared) -> str:
        folder, bound = prepared.model.folder, prepared.bound
        facts = {
            "version": VERSION,
            "spec": prepared.spec.model_dump(mode="json", by_alias=True),
            "plan": prepared.plan.digest,
            "clip": self._digest(prepared.base / prepared.spec.video.path),
            "regions": [
                hashlib.sha256(layout.bits_FHW.tobytes()).hexdigest()
                for layout in (bound.shown, bound.edits)
            ],
            "model": fingerprint(folder.folder, folder.file.path if folder.file else None),
            "motion": file_facts(folder.motion.folder) if folder.motion else None,
            "device": device_name(self.device),
            "measured by": clip_digest(self.clip.name) if self.clip else "",
        }
        return run_key(facts)[:16]

    def _digest(self, clip: Path) -> str:
        """Hash the content of a clip: a video file, or a folder of frames."""
        if clip not in self._digests:
            self._digests[clip] = content_digest(clip) if clip.is_dir() else digest(clip)
        return self._digests[clip]


def measured_clip(prepared: Prepared, source: Frames) -> MeasuredClip:
    """What the measures need of a user's clip: every edit with words is an instance."""
    layout, spec = prepared.bound.shown, prepared.spec
    edits = [edit for edit in prepared.plan.edits if edit.phrase and edit.owner is None]
    return MeasuredClip(
        source=source,
        target=spec.target,
        kept_FHW=layout.bits_FHW == 0,
        instances=[Instance(edit.phrase, layout.mask(edit.region)) for edit in edits],
    )


def _saved(path: Path, key: str) -> Values | None:
    try:
        content = read_json(path, bounded=True)
        return dict(content["values"]) if content["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None

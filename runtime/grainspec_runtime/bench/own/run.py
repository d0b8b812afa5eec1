"""Edit clips of the user with the benchmark's methods, and measure what needs no exact target."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from grainspec.cli.ending import finding_of
from grainspec.diagnostics import GrainError
from grainspec.model.spec import Edit, EditSpec
from grainspec.regular_file import read_json
from grainspec.whole_file import whole_file
from grainspec_runtime.bench.cost import device_name, measured_cost
from grainspec_runtime.bench.edit import total_seconds
from grainspec_runtime.bench.kinds import kind_of
from grainspec_runtime.bench.methods import Method, failure_of
from grainspec_runtime.bench.own.layouts import ClipEdit
from grainspec_runtime.bench.paper_measures import MeasuredClip, Values
from grainspec_runtime.bench.run import clip_digest, file_name, save_clip
from grainspec_runtime.bench.summary import Result
from grainspec_runtime.editing.editor import Editor
from grainspec_runtime.editing.result import EditResult
from grainspec_runtime.editing.resume import run_key
from grainspec_runtime.editing.stages import StageProgress
from grainspec_runtime.measures.clip_model import Clip
from grainspec_runtime.measures.instances import Instance
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.models.additions import digest
from grainspec_runtime.models.fingerprint import content_digest, file_facts, fingerprint
from grainspec_runtime.prepare import Prepared, prepare

VERSION = 2
"""Increase it when results change, so that old and new ones do not mix."""
Outcome = Literal["made", "kept", "refused", "failed"]
_LONGEST_NAME = 60


class Watch(Protocol):
    """Is told what the benchmark does."""

    def begin(self, edit: str, method: str) -> None:
        """A method's edit begins."""

    def stage(self, stage: str, done: int, total: int) -> None:
        """The edit has finished so many steps of a stage."""

    def end(self, outcome: Outcome, reason: str = "") -> None:
        """The edit was made, or kept from before; or refused before it began, or failed."""


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

    def run(self, edits: Sequence[ClipEdit], watch: Watch) -> Iterator[Result]:
        """Make every edit with every method; each result is saved, and not made again.

        ``not_run`` of a result has the methods that cannot make the edit or fail, with the reasons;
        ``warnings``, as JSON values, those that only came up in making it.
        """
        for one in edits:
            result: Result = {"name": one.name, "target": one.spec.target, "scores": {}}
            result["asked"] = [edit.phrase for edit in one.spec.changes if isinstance(edit, Edit)]
            result |= {"not_run": {}, "warnings": []}
            for method in self.methods:
                watch.begin(one.name, method.name)
                saved, outcome, reason = self._outcome(one, method, watch.stage)
                if reason:
                    result["not_run"][method.name] = reason
                else:
                    result["scores"][method.name] = saved["values"]
                    seen = result["warnings"]
                    seen += [finding for finding in saved["warnings"] if finding not in seen]
                watch.end(outcome, reason)
            yield result

    def prepared(self, one: ClipEdit, method: Method) -> Prepared:
        """The edit, checked and compiled for a method; raises GrainError."""
        return prepare(self._spec(one, method), one.base)

    def _outcome(
        self, one: ClipEdit, method: Method, progress: StageProgress
    ) -> tuple[dict[str, Any], Outcome, str]:
        """The file of an edit, what became of it, and why there is none."""
        if method.missing:
            return {}, "refused", method.missing
        try:
            if method.kind and (
                reason := method.unsuited(kind_of(self.model or one.spec.model, one.base))
            ):
                return {}, "refused", reason
            prepared = self.prepared(one, method)
            # a method without regions is measured inside and outside those of the spec all the same
            regional = replace(method, everywhere=False)
            measured = self.prepared(one, regional) if method.everywhere else prepared
        except GrainError as error:
            return {}, "refused", failure_of(error)
        try:
            return *self._saved(one, method, (prepared, measured), progress), ""
        except GrainError as error:
            return {}, "failed", failure_of(error)

    def _saved(
        self,
        one: ClipEdit,
        method: Method,
        both: tuple[Prepared, Prepared],
        progress: StageProgress,
    ) -> tuple[dict[str, Any], Outcome]:
        """The file of an edit, which is made unless it was before; raises GrainError.

        both: the edit, and that whose regions the measures take.
        """
        prepared, measured = both
        folder = edit_folder(one.name)
        path = self.folder / "cases" / folder / f"{file_name(method.name)}.json"
        key = self._key(prepared, measured)
        saved = _read(path, key)
        if saved is not None:
            return saved, "kept"
        try:
            values, result = self._edit(prepared, measured, progress)
        except GrainError:
            raise
        except Exception as error:  # a fault that one clip meets: the others are measured
            finding = finding_of(error)
            if finding.code != "G900":  # such as a full disk, which all would meet
                raise
            raise GrainError([finding]) from error
        clips = self.folder / "clips" / folder
        clips.mkdir(parents=True, exist_ok=True)
        save_clip(result.source, clips / "source.webp")
        save_clip(result.edited, clips / f"{file_name(method.name)}.webp")
        known = set(prepared.warnings)
        new = [finding.as_json() for finding in result.warnings if finding not in known]
        saved = {"key": key, "values": values, "warnings": new}
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial:
            partial.write_text(json.dumps(saved, indent=1) + "\n")
        return saved, "made"

    def _spec(self, one: ClipEdit, method: Method) -> EditSpec:
        spec = method.applied(one.spec)
        changes: dict[str, Any] = dict(one.own.get(method.stands_for, {}))
        if self.model:
            changes["model"] = self.model
        if self.steps:
            changes["sampler"] = spec.sampler.replaced({}, steps=self.steps)
        return spec.replaced({}, **changes)

    def _edit(
        self, prepared: Prepared, measured: Prepared, progress: StageProgress
    ) -> tuple[Values, EditResult]:
        editor, model = self._editor, prepared.spec.model
        adapter = prepared.spec.motion_adapter
        if editor is None or (editor.model, editor.motion_adapter) != (model, adapter):
            editor = self._editor = Editor(
                model, motion_adapter=adapter, device=self.device, use_cache=False
            )
        progress("load", 0, 1)
        device = editor.checkpoint(prepared.base).device
        with measured_cost(device) as cost:
            result = editor.run_prepared(prepared, progress=progress)
        progress("measure", 0, 1)
        clip = measured_clip(measured, result.source)
        values = clip.values(result.edited, self.clip)
        values |= {"gpu": cost.gpu, "ram": cost.ram, "total": total_seconds(result)}
        return values, result

    def _key(self, prepared: Prepared, measured: Prepared) -> str:
        folder = prepared.model.folder
        facts = {
            "version": VERSION,
            "spec": prepared.spec.model_dump(mode="json", by_alias=True),
            "plan": prepared.plan.digest,
            "clip": self._digest(prepared.base / prepared.spec.video.path),
            "regions": [
                hashlib.sha256(layout.bits_FHW.tobytes()).hexdigest()
                for layout in (prepared.bound.edits, measured.bound.shown)
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


def edit_folder(name: str) -> str:
    """The name of an edit's folder, different for different edits.

    >>> edit_folder("bear"), edit_folder("sub/bear")
    ('bear', 'sub-bear-aacd795a')
    """
    plain = file_name(name)
    if plain == name and len(name) <= _LONGEST_NAME:
        return plain
    return f"{plain[:_LONGEST_NAME]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


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


def _read(path: Path, key: str) -> dict[str, Any] | None:
    """A saved file of this key."""
    try:
        content = read_json(path, bounded=True)
        if content["key"] != key:
            return None
        return {"values": dict(content["values"]), "warnings": list(content["warnings"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None

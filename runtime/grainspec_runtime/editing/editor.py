"""The editor: loads a model once, and runs specs with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Unpack

from grainspec.diagnostics import Diagnostic, fail, refuse
from grainspec.expect import expect_spec
from grainspec.model.spec import DEMO, EditSpec
from grainspec_runtime.backbones.family import Checkpoint
from grainspec_runtime.backbones.registry import load_checkpoint
from grainspec_runtime.editing.edit import edit
from grainspec_runtime.editing.options import EditorSettings, RunOptions
from grainspec_runtime.editing.result import EditResult
from grainspec_runtime.editing.session import ClipSession
from grainspec_runtime.editing.stages import StageProgress
from grainspec_runtime.models.options import LoadOptions
from grainspec_runtime.prepare import Prepared, prepare
from grainspec_runtime.tracking.bake import TrackOptions
from grainspec_runtime.tracking.choices import EngineChoice


def _silent(stage: str, done: int, total: int) -> None:
    """Ignore progress."""


def _unheard(finding: Diagnostic) -> None:
    """Ignore a warning: the result has it too."""


def _expect_prepared(prepared: object) -> Sequence[Prepared]:
    """Return the same prepared specs; raises GrainError (G202) for anything else."""
    wrong = prepared
    if isinstance(prepared, list | tuple):
        wrong = next((value for value in prepared if not isinstance(value, Prepared)), None)
        if prepared and wrong is None:
            return prepared
    what = "none" if wrong is None else f"a value of type {type(wrong).__name__}"
    message = f"the editor expects prepared specs, and got {what}"
    cure = "Prepare them: `prepare(spec, base)` gives one, `prepare_variants(…)` a list."
    raise refuse("G202", message, cure)


class Editor:
    """Runs specs with one model.

        editor = Editor(device="cpu")
        result = editor.run(grainspec.load("examples/instance.grain"), base=Path("examples"))
        result.edited.shape      # (8, 96, 96, 3)

    ``model`` is written as in a spec: ``demo``, a folder in diffusers' format, a checkpoint in one
    safetensors file, or a hub id; ``motion_adapter`` is one that is added to it. The model is
    loaded when the first spec has passed all checks. All other
    arguments are those of :class:`RunOptions` and :class:`LoadOptions`; you can also pass these two
    as values, ``options`` and ``loading``. If you prepare specs yourself, use the same
    ``embeddings`` and ``loras`` there.

    Inversions are cached, and so is the state of a run while it lasts: the same run resumes after
    an interruption, with a bit-identical result.

    Raises ValueError for options that are unknown or cannot be combined, TypeError for an argument
    that is unknown or of the wrong type.
    """

    def __init__(
        self,
        model: str = DEMO,
        *,
        motion_adapter: str = "",
        options: RunOptions | None = None,
        loading: LoadOptions | None = None,
        **settings: Unpack[EditorSettings],
    ) -> None:
        unknown = sorted(settings.keys() - EditorSettings.__annotations__.keys())
        if unknown:
            known = ", ".join(f"`{name}`" for name in EditorSettings.__annotations__)
            raise TypeError(f"unknown option `{unknown[0]}`: use one of {known}")
        names = RunOptions.__dataclass_fields__
        run: dict[str, Any] = {name: v for name, v in settings.items() if name in names}
        load: dict[str, Any] = {name: v for name, v in settings.items() if name not in names}
        if (options and run) or (loading and load):
            listed = ", ".join(f"`{name}`" for name in settings)
            raise TypeError(f"pass {listed} either by name or in `options` or `loading`, not both")
        self.model = model
        self.motion_adapter = motion_adapter
        self.options = options or RunOptions(**run)
        self.loading = loading or LoadOptions(**load)
        self._checkpoint: Checkpoint | None = None
        self._place = ""
        if self.options.study and self.loading.compile:
            raise ValueError("`study` does not work with `compile`; remove `compile`")

    def run(
        self, spec: EditSpec, *, base: str | Path = ".", progress: StageProgress = _silent
    ) -> EditResult:
        """Edit a spec's clip.

        Relative paths in the spec start at ``base``, by default the working folder. Variants of the
        spec are ignored; to run one, pass ``spec.as_variant("pig")``. Raises GrainError for all
        errors in the spec, its files and the model, before the model is loaded if possible. Regions
        from clicks and words are tracked if they have no current masks, as the stage ``track``.
        """
        spec = expect_spec(spec, "Editor.run").without_variants()
        self._check_model(spec)
        loading = self.loading
        device = None if loading.device is None else str(loading.device)
        tracking = TrackOptions(EngineChoice(device=device), progress=progress)
        prepared = prepare(
            spec,
            Path(base),
            embeddings=loading.embeddings,
            loras=loading.loras,
            tracking=tracking,
        )
        return self.run_prepared(prepared, progress=progress)

    def run_prepared(self, prepared: Prepared, *, progress: StageProgress = _silent) -> EditResult:
        """Edit a clip whose spec is checked and compiled already, by :func:`prepare`."""
        [result] = self.run_all([prepared], progress=progress)
        return result

    def run_all(
        self, prepared: Sequence[Prepared], *, progress: StageProgress = _silent
    ) -> list[EditResult]:
        """Make several edits of one clip, and return their results.

        The clip is read once, and edits share inversions where possible. To use each result as
        soon as it is made, open a :meth:`session`. Raises ValueError unless all edits have the same
        clip, model and controls, as the variants of a spec do.
        """
        with self.session(prepared, progress=progress) as session:
            return [edit(session, variant) for variant in prepared]

    def session(
        self,
        prepared: Sequence[Prepared],
        *,
        progress: StageProgress = _silent,
        warned: Callable[[Diagnostic], None] = _unheard,
    ) -> ClipSession:
        """Return the session of these edits' clip, to be entered with ``with``.

        ``warned`` gets each warning of the session as soon as it is known; results have them too.

            with editor.session(prepared) as session:
                for variant in prepared:
                    result = edit(session, variant)

        Raises ValueError unless all edits have the same clip, model and controls; GrainError (G404)
        if the model is not this editor's.
        """
        first, *_ = _expect_prepared(prepared)
        self._check_model(first.spec)
        session = ClipSession(
            lambda: self.checkpoint(first.base),
            first,
            options=self.options,
            loading=self.loading,
            progress=progress,
            warned=warned,
        )
        for variant in prepared:
            session.check(variant)
        return session

    def _check_model(self, spec: EditSpec) -> None:
        if spec.model != self.model:
            message = f"the spec is for the model {spec.model}, but this editor runs {self.model}"
            raise fail("G404", message, f"Use `Editor({spec.model!r})`.", spec.span_of("model"))
        if spec.motion_adapter != self.motion_adapter:
            message = (
                f"the spec is for the motion adapter “{spec.motion_adapter}”, but this editor runs "
                f"“{self.motion_adapter}”"
            )
            cure = f"Use `Editor({spec.model!r}, motion_adapter={spec.motion_adapter!r})`."
            raise fail("G404", message, cure, spec.span_of("motion_adapter"))

    def checkpoint(self, base: Path) -> Checkpoint:
        """Return the model, loaded on first use; a relative path starts at ``base``."""
        path = base / self.model
        place = str(path.resolve()) if path.exists() else self.model
        if self._checkpoint is None or self._place != place:
            self._place = place
            self._checkpoint = load_checkpoint(
                self.model, base, self.loading, motion_adapter=self.motion_adapter
            )
        return self._checkpoint

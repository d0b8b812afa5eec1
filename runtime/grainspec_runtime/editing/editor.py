"""The editor: load a model once, run specs on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grainspec.diagnostics import fail
from grainspec.expect import expect_spec
from grainspec.model.spec import DEMO, EditSpec
from grainspec_runtime.backbones.family import Checkpoint
from grainspec_runtime.backbones.options import LoadOptions
from grainspec_runtime.backbones.registry import load_checkpoint
from grainspec_runtime.editing.edit import edit
from grainspec_runtime.editing.options import RunOptions
from grainspec_runtime.editing.result import EditResult
from grainspec_runtime.editing.session import ClipSession
from grainspec_runtime.editing.stages import StageProgress
from grainspec_runtime.prepare import Prepared, prepare


def _silent(stage: str, done: int, total: int) -> None:
    """Show no progress."""


class Editor:
    """Runs specs on one model.

    ``model`` is as in a spec: ``demo``, a folder in diffusers' format, or a hub id. It is loaded
    when the first spec has passed all its checks. All other arguments are those of
    :class:`RunOptions` and of :class:`LoadOptions`; either may also come as a value, ``options``
    and ``loading``. Specs that are prepared elsewhere must have been prepared with the same
    ``embeddings``.

    Inversions are kept in a cache, and while a run lasts, so is where it stands: an interrupted run
    is resumed when the same run starts again, with the same result.

        editor = Editor(device="cpu")
        result = editor.run(grainspec.load("examples/instance.grain"), base=Path("examples"))
        result.edited.shape      # (8, 96, 96, 3)

    Raises ValueError for options that cannot work together, TypeError for an unknown one.
    """

    def __init__(
        self,
        model: str = DEMO,
        *,
        options: RunOptions | None = None,
        loading: LoadOptions | None = None,
        **settings: Any,
    ) -> None:
        names = RunOptions.__dataclass_fields__
        run = {name: value for name, value in settings.items() if name in names}
        load = {name: value for name, value in settings.items() if name not in names}
        if (options and run) or (loading and load):
            raise TypeError(f"give {', '.join(settings)} either by name or in a value, not both")
        self.model = model
        self.options = options or RunOptions(**run)
        self.loading = loading or LoadOptions(**load)
        self._checkpoint: Checkpoint | None = None
        self._place = ""
        if self.options.study and self.loading.compile:
            raise ValueError("`study` records attention step by step, which excludes `compile`")

    def run(
        self, spec: EditSpec, *, base: Path | None = None, progress: StageProgress = _silent
    ) -> EditResult:
        """Edit a spec's clip. Relative paths in the spec start at ``base`` (here by default).

        Of a spec with variants this is the edit outside them; ``spec.as_variant("pig")`` is
        another's. Raises GrainError for whatever is wrong with the spec, its files or the model,
        all of it before the model is loaded where that is possible.
        """
        spec = expect_spec(spec, "Editor.run").without_variants()
        if spec.model != self.model:
            message = f"the spec is for the model {spec.model}, this editor runs {self.model}"
            raise fail("G404", message, f"Use `Editor({spec.model!r})`.", spec.span_of("model"))
        prepared = prepare(spec, base or Path(), embeddings=self.loading.embeddings)
        return self.run_prepared(prepared, progress=progress)

    def run_prepared(self, prepared: Prepared, *, progress: StageProgress = _silent) -> EditResult:
        """Edit a clip whose spec has been checked and compiled already."""
        [result] = self.run_all([prepared], progress=progress)
        return result

    def run_all(
        self, prepared: Sequence[Prepared], *, progress: StageProgress = _silent
    ) -> list[EditResult]:
        """Edit one clip in several ways.

        The clip is read once, and inverted once for all that want the same inversion. To use each
        result as it comes, open a :meth:`session`. Raises ValueError unless all are of one clip,
        model and controls, as the variants of a spec.
        """
        with self.session(prepared, progress=progress) as session:
            return [edit(session, one) for one in prepared]

    def session(
        self, prepared: Sequence[Prepared], *, progress: StageProgress = _silent
    ) -> ClipSession:
        """The session of these edits' clip, to be entered with ``with``.

            with editor.session(prepared) as session:
                for one in prepared:
                    result = edit(session, one)

        Raises ValueError unless all are of one clip, model and controls.
        """
        first = prepared[0]
        session = ClipSession(
            lambda: self.checkpoint(first.base),
            first,
            options=self.options,
            loading=self.loading,
            progress=progress,
        )
        for one in prepared:
            session.check(one)
        return session

    def checkpoint(self, base: Path) -> Checkpoint:
        """The model, loaded on first use; a relative folder starts at ``base``."""
        folder = base / self.model
        place = str(folder.resolve()) if folder.is_dir() else self.model
        if self._checkpoint is None or self._place != place:
            self._place = place
            self._checkpoint = load_checkpoint(self.model, base, self.loading)
        return self._checkpoint

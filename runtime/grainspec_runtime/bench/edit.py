"""Make a case's edit with several methods, and measure each."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from grainspec.diagnostics import GrainError
from grainspec.model.spec import DEMO
from grainspec_runtime.bench.clips import RenderedCase
from grainspec_runtime.bench.cost import measured_cost
from grainspec_runtime.bench.measure import BESIDE, Edited, score, widened
from grainspec_runtime.bench.methods import Method
from grainspec_runtime.bench.paper_measures import Values, measured_case
from grainspec_runtime.bench.reweighted import Reweighting
from grainspec_runtime.demo.judge import Judge
from grainspec_runtime.editing.edit import edit
from grainspec_runtime.editing.editor import Editor
from grainspec_runtime.editing.result import EditResult
from grainspec_runtime.measures.clip_model import Clip
from grainspec_runtime.media.blend import blended, faded
from grainspec_runtime.media.decode import Frames
from grainspec_runtime.models.locate import DEMO_FOLDER
from grainspec_runtime.prepare import Prepared, prepare

_COUNTED = ("sample", "edit", "decode")
"""The stages of an edit that its time counts: sampling, or FlowEdit, and decoding."""
_PLAIN = Method("plain", "the case's regions, whatever the model", control=None)


@dataclass
class Bench:
    """A model of the demo world and its judge, loaded once for many cases.

    clip: for the measures that need CLIP; None leaves them out.
    """

    device: str | None = None
    model: str = DEMO
    clip: Clip | None = None
    _judge: Judge | None = field(default=None, repr=False)

    def edits(
        self,
        rendered: RenderedCase,
        methods: Sequence[Method],
        steps: int,
        *,
        apart: bool = False,
        failed: Callable[[Method, GrainError], None],
    ) -> Iterator[tuple[Method, Values, Frames]]:
        """Edit a case with each method; yields the method, its scores and the edited frames.

        Methods with the same inversion share it, unless each is to be made ``apart``, so that its
        time and memory are those of a whole edit. ``failed`` receives the methods whose edits fail,
        such as by NaN (G505) or for want of memory (G506).
        """
        case = rendered.case
        judge = self._judge = self._judge or Judge.from_pretrained(DEMO_FOLDER)
        with tempfile.TemporaryDirectory(prefix="grain-bench-") as place:
            base = Path(place)
            rendered.write(base)
            source, target = rendered.source[0], rendered.target[0]
            trips = self._round_trip(source, base), self._round_trip(target, base)
            plain = _PLAIN.spec(case, steps, self.model)
            regions = prepare(plain, base).bound.edits.bits_FHW != 0
            clip = measured_case(rendered, ~widened(regions, BESIDE), plain.target)
            for chosen in [[m] for m in methods] if apart else _together(methods):
                chosen.sort(key=lambda method: method.spec(case, steps).modulation.frames)
                able: list[tuple[Method, Prepared]] = []
                for method in chosen:
                    try:
                        able.append((method, prepare(method.spec(case, steps, self.model), base)))
                    except GrainError as error:
                        failed(method, error)
                if not able:
                    continue
                with self._editor.session([one for _, one in able]) as session:
                    for method, one in able:
                        rule = Reweighting if method.reweighted else None
                        try:
                            with measured_cost(self._editor.checkpoint(base).device) as cost:
                                result = edit(session, one, cross_rule=rule)
                        except GrainError as error:
                            failed(method, error)
                            continue
                        edited = Edited(
                            frames=result.edited,
                            pixel_blended=blended(source, result.edited, faded(regions, 0)),
                            source_round_trip=trips[0],
                            target_round_trip=trips[1],
                            regions=regions,
                            seconds=sum(result.seconds.get(stage, 0.0) for stage in _COUNTED),
                        )
                        values = score(rendered, edited, judge).as_json()
                        values |= clip.values(result.edited, self.clip)
                        values |= {"gpu": cost.gpu, "ram": cost.ram, "total": total_seconds(result)}
                        yield method, values, result.edited

    @cached_property
    def _editor(self) -> Editor:
        return Editor(self.model, device=self.device, use_cache=False)

    def _round_trip(self, frames: Frames, base: Path) -> Frames:
        """Encode and decode frames with the VAE."""
        checkpoint = self._editor.checkpoint(base)
        return checkpoint.decode_clip(checkpoint.encode_clip(frames))


def total_seconds(result: EditResult) -> float:
    """The seconds of all stages but loading the model."""
    return sum(spent for stage, spent in result.seconds.items() if stage != "load model")


def _together(methods: Sequence[Method]) -> list[list[Method]]:
    """Group the methods that can share a session: those with the same controls."""
    groups: dict[str, list[Method]] = {}
    for method in methods:
        groups.setdefault(repr(method.control), []).append(method)
    return list(groups.values())

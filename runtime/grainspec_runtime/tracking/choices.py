"""Which engines track a spec, and how they are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from grainspec.checks.tracked import check_engine_prompts
from grainspec.diagnostics import GrainError
from grainspec.model.settings.tracking import Finding, Tracking
from grainspec.model.spec import EditSpec
from grainspec.regions.tracked.manifest import EngineRecord, SourceRecord
from grainspec.regions.tracked.weights import changed_weights
from grainspec_runtime.models.hub import is_remote
from grainspec_runtime.tracking.engine import Engine, EngineRow, Finder, Tracker
from grainspec_runtime.tracking.engines.needs import require
from grainspec_runtime.tracking.registry import finder_row, tracker_row


@dataclass(frozen=True)
class EngineChoice:
    """Engines in place of those of the spec: ``NAME`` or ``NAME=WEIGHTS``; empty for the spec's."""

    tracker: str = ""
    finder: str = ""
    device: str | None = None

    def require(self, spec: EditSpec, *, finder: bool) -> None:
        """Raise GrainError if an engine cannot run here (G533), or take the prompts (G535).

        ``finder``: if one is needed.
        """
        rows: list[EngineRow[Tracker] | EngineRow[Finder]] = []
        rows += [tracker_row(self.tracker_of(spec)[0])]
        rows += [finder_row(self.finder_of(spec)[0])] if finder else []
        for row in rows:
            require(row.name, row.why_not())
        if refused := list(check_engine_prompts(spec, self.tracker_of(spec)[0])):
            raise GrainError(refused)

    def made(self, record: SourceRecord) -> bool:
        """Whether the engines that are chosen in place of the spec's made these masks."""
        return _is(self.tracker, record.tracker) and _is(self.finder, record.finder)

    def changed(self, record: SourceRecord, spec: EditSpec, base: Path) -> str:
        """Say what changed of the engines that made masks: weights in a folder, or a version.

        Empty if nothing did, or if others are chosen. Weights are hashed; none are loaded.
        """
        name, weights = self.tracker_of(spec)
        change = _change(tracker_row(name), weights, base, record.tracker)
        if not change and record.finder:
            name, weights = self.finder_of(spec)
            change = _change(finder_row(name), weights, base, record.finder)
        return change

    def downloads(self, spec: EditSpec, base: Path, *, finder: bool) -> list[str]:
        """Say which weights are those of the hub, with their licence if it is known."""
        chosen: list[tuple[EngineRow[Tracker] | EngineRow[Finder], str | None]] = []
        name, weights = self.tracker_of(spec)
        chosen.append((tracker_row(name), weights))
        if finder:
            name, weights = self.finder_of(spec)
            chosen.append((finder_row(name), weights))
        said = []
        for row, own in chosen:
            checkpoint = own or row.checkpoint
            if checkpoint and is_remote(checkpoint, base):
                licence = row.licence if checkpoint == row.checkpoint else "see its page"
                said.append(f"weights of {row.name}: {checkpoint} of the hub; licence: {licence}")
        return said

    def load_tracker(self, spec: EditSpec, base: Path) -> Tracker:
        """Load the tracker; raises GrainError if its weights cannot be loaded."""
        name, weights = self.tracker_of(spec)
        return _loaded(tracker_row(name), weights, base, self.device)

    def load_finder(self, spec: EditSpec, base: Path) -> Finder:
        """Load the finder; raises GrainError if its weights cannot be loaded."""
        name, weights = self.finder_of(spec)
        return _loaded(finder_row(name), weights, base, self.device)

    def tracker_of(self, spec: EditSpec) -> tuple[str, str | None]:
        """The name and the weights of the tracker; None: its default weights."""
        said = spec.tracker or Tracking()
        return _name_and_weights(self.tracker, said.engine, said.weights)

    def finder_of(self, spec: EditSpec) -> tuple[str, str | None]:
        """The name and the weights of the finder; None: its default weights."""
        said = spec.finder or Finding()
        return _name_and_weights(self.finder, said.engine, said.weights)


def _is(given: str, used: EngineRecord | None) -> bool:
    """Whether an engine is the one that is given as ``NAME`` or ``NAME=WEIGHTS``, if any is."""
    name, _, weights = given.partition("=")
    return used is None or not name or (name == used.name and weights in used.weights)


def _change(
    row: EngineRow[Tracker] | EngineRow[Finder],
    weights: str | None,
    base: Path,
    used: EngineRecord,
) -> str:
    if row.name != used.name or row.why_not():
        return ""
    now = row.version()
    if now and now != used.version:
        return f"{row.name} is of version {now} here; the masks are of version {used.version}"
    return changed_weights(used, row.name, weights, base)


def _loaded(row: EngineRow[Engine], weights: str | None, base: Path, device: str | None) -> Engine:
    checkpoint = weights or row.checkpoint
    place = base / checkpoint
    return row.load(str(place) if checkpoint and place.exists() else checkpoint, device)


def _name_and_weights(given: str, engine: str, weights: str | None) -> tuple[str, str | None]:
    """The engine's name and weights: those given; else the spec's, if it is the same engine."""
    name, _, own = given.partition("=")
    if not name or (name == engine and not own):
        return engine, weights
    return name, own or None

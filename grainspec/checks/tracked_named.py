"""Tracked masks that a spec names by hand from its own folder, and that tracking would erase."""

from __future__ import annotations

from grainspec.diagnostics import Diagnostic
from grainspec.regions.tracked.named import folder_of, named_masks
from grainspec.regions.tracked.place import track_command
from grainspec.regions.tracked.state import TrackedState


def named_refusal(state: TrackedState) -> Diagnostic | None:
    """The error (G365) about an object that the spec names by number, but tracks no more.

    None if there is none: new tracking makes all objects that the spec names. An object is tracked
    still if its prompts are the same, or if another region of its name is tracked.
    """
    if state.manifest is None:
        return None
    keys = {state.clip.key(source) for source in state.sources}
    for region, source in named_masks(state.clip.spec):
        if folder_of(state.clip.base / source.path) != state.folder:
            continue
        names = {*state.regions} - {region}
        lost: set[int] = set()
        for record in state.manifest.sources:
            if record.key not in keys and not names & {*record.regions}:
                lost |= {*record.numbers}
        if source.index in lost:
            message = f"{state.why or 'masks are to be made again'}, and index {source.index} in "
            message += f"{state.folder}, which `{region}` names, would be erased: no region tracks "
            message += "its object"
            cure = f"Copy {state.folder} to a folder of another name, and name that in `masks(…)`. "
            cure += f"To give the object up: `{track_command(state.clip.spec)} --force`."
            return Diagnostic("G365", message, cure, source.span)
    return None

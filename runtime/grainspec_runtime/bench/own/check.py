"""Check all edits before the first is made: what is wrong and what is doubtful about each clip."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from grainspec.cli.output import counted
from grainspec.diagnostics import Diagnostic, GrainError
from grainspec_runtime.bench.methods import failure_of
from grainspec_runtime.bench.own.layouts import ClipEdit
from grainspec_runtime.bench.own.methods import AS_WRITTEN
from grainspec_runtime.bench.own.run import OwnBench

_OF_WRITERS = ("G111", "G336")


@dataclass
class Checked:
    """The edits without faults, why the others are left out, and the warnings of each.

    ``left_out`` and ``warnings`` are by the edits' names.
    """

    edits: list[ClipEdit] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    warnings: dict[str, tuple[Diagnostic, ...]] = field(default_factory=dict)


def summed(warnings: Mapping[str, Sequence[Diagnostic]]) -> list[Diagnostic]:
    """The warnings of all edits, each code once, with the first edit that has it."""
    of_codes: dict[str, list[tuple[str, Diagnostic]]] = {}
    for name, findings in warnings.items():
        for code in dict.fromkeys(finding.code for finding in findings):
            finding = next(it for it in findings if it.code == code)
            of_codes.setdefault(code, []).append((name, finding))
    found = []
    for (name, finding), *others in of_codes.values():
        more = f" (and {counted(len(others), 'other edit')})" if others else ""
        found.append(Diagnostic(finding.code, f"{name}: {finding.message}{more}", finding.cure))
    return found


def check_edits(
    bench: OwnBench, edits: Sequence[ClipEdit], progress: Callable[[int, int], None]
) -> Checked:
    """Prepare every edit as it is written, before a model is loaded.

    An edit with a fault of its own is left out: in its spec, its clip, masks or regions, whose
    codes are below G4. What a model or a method refuses, another may make; the warnings are then
    those of the first that does.
    """
    checked = Checked()
    for number, one in enumerate(edits):
        progress(number, len(edits))
        for method in (AS_WRITTEN, *bench.methods):
            if method.missing:
                continue
            try:
                findings = bench.prepared(one, method).warnings
                # about numbers of frames and settings without effect, which only its writer changes
                told = (it for it in findings if one.is_written or it.code not in _OF_WRITERS)
                checked.warnings[one.name] = tuple(told)
                break
            except GrainError as error:
                reason = failure_of(error)
                if reason < "G4":
                    checked.left_out[one.name] = reason
                    break
        if one.name not in checked.left_out:
            checked.edits.append(one)
    progress(len(edits), len(edits))
    return checked

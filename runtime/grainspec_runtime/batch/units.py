"""Units of a batch: jobs of one clip and one model, which are prepared and inverted together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from grainspec.diagnostics import GrainError
from grainspec_runtime.batch.failures import Failure
from grainspec_runtime.batch.jobs import BatchJob, unknown_variant

MOST = 16
"""Jobs of a unit: so many are prepared at once, and wait for one inversion."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Jobs that one session can make. session: a hash of clip, model and controls."""

    jobs: tuple[BatchJob, ...]
    session: str


def units_of(jobs: Iterable[BatchJob], failed: list[tuple[BatchJob, Failure]]) -> Iterator[Unit]:
    """Put jobs of the same session together, up to :data:`MOST`, in their order.

    Jobs whose spec cannot be read are appended to ``failed``.
    """
    waiting: dict[str, list[BatchJob]] = {}
    for job in jobs:
        try:
            session = session_of(job)
        except KeyError:
            finding = unknown_variant(job.whole, job.file, str(job.variant))
            failure = Failure(finding.code, finding.message, finding.cure, text=job.row)
            failed.append((job, failure))
        except (GrainError, OSError) as error:
            failed.append((job, Failure.of(error)))
        else:
            waiting.setdefault(session, []).append(job)
    for session, same in waiting.items():
        for start in range(0, len(same), MOST):
            yield Unit(tuple(same[start : start + MOST]), session)


def session_of(job: BatchJob) -> str:
    """Return a hash of what jobs of one session have in common.

    Raises GrainError for a spec or override that cannot be read, KeyError for an unknown variant.
    """
    spec = job.chosen
    facts: list[object] = [job.base, spec.model, spec.motion_adapter]
    shared = [spec.video, *spec.controls]
    facts += [node.model_dump(mode="json", by_alias=True) for node in shared]
    if any(control.kind == "inpaint" and control.clip is None for control in spec.controls):
        facts.append(job.digest)  # it masks the regions of its own edit
    return hashlib.sha256(repr(facts).encode()).hexdigest()

"""Count false alarms: invariants that fail for valid specs and plans of grainspec's own compiler.

    python runtime/benchmarks/alarms.py --examples 5000

draws that many specs and that many plans, over nine backbones. A spec is checked by itself, then
compiled for a drawn layout; every plan is checked against all invariants. Each seed draws others.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from grainspec import check
from grainspec.testing import Broken, Case, check_case, plans, specs, word_backbone

BACKBONES = (
    word_backbone(),
    word_backbone(levels=1, pixels_per_latent=16, frames_per_latent=4),
    word_backbone(levels=2, pixels_per_latent=4, attended=(1,)),
    word_backbone(levels=3, pixels_per_latent=5, frames_per_latent=2),
    word_backbone(levels=4, frames_per_latent=4, attended=(0, 2)),
    word_backbone(
        levels=1,
        frames_per_latent=4,
        patch=2,
        shift=5,
        layer_count=30,
        padding_keys="neutral",
        start_tokens=0,
    ),
    word_backbone(
        levels=1, frames_per_latent=8, first_frames=5, patch=2, layer_count=42, start_tokens=0
    ),
    word_backbone(
        levels=1,
        pixels_per_latent=16,
        frames_per_latent=2,
        first_frames=2,
        shift=3,
        layer_count=3,
        padding_keys="masked",
        start_tokens=5,
        padded="left",
    ),
    word_backbone(levels=1, frames_per_latent=6, first_frames=1, patch=2, shift=1, layer_count=48),
)
"""Those of image UNets, some with levels without attention and odd cells; and of video transformers
like Wan, CogVideoX 1.5, one with pairs of frames and text padded on the left, and Mochi."""


def alarms(
    strategy: st.SearchStrategy[Case], examples: int, start: int, look: Callable[[Case], str]
) -> tuple[int, Counter[str]]:
    """The number of cases, and the alarms by their text; prints the first case of each."""
    seen, found = 0, Counter[str]()

    @seed(start)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def run(case: Case) -> None:
        nonlocal seen
        seen += 1
        alarm = look(case)
        if alarm:
            if alarm not in found:
                print(f"{alarm}\n{case!r}", flush=True)
            found[alarm] += 1

    run()
    return seen, found


def of_plan(case: Case) -> str:
    """The first invariant that fails, or an empty text."""
    try:
        check_case(case)
    except Broken as broken:
        return str(broken.invariant)
    return ""


def of_spec(case: Case) -> str:
    """The codes of the errors in a spec, or the first invariant that fails for its plan."""
    errors = [finding.code for finding in check(case.spec) if finding.is_error]
    return " ".join(errors) or of_plan(case)


def main() -> None:
    """Draw, check, and print a line per backbone; exit with 1 if there is any alarm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--examples", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    given_ = parser.parse_args()
    each, total = given_.examples // len(BACKBONES), Counter[str]()
    for number, backbone in enumerate(BACKBONES):
        kinds = {
            "specs": (plans(backbone=backbone, specs=specs(variants=0)), of_spec),
            "plans": (plans(backbone=backbone), of_plan),
        }
        for kind, (strategy, look) in kinds.items():
            start = time.perf_counter()
            seen, found = alarms(strategy, each, given_.seed * len(BACKBONES) + number, look)
            took = time.perf_counter() - start
            total += found
            counts = f"{seen} {kind}, {found.total()} false alarms, {took:.1f} s"
            print(f"{backbone}: {counts}", flush=True)
    print(f"{total.total()} false alarms {dict(total) or ''}")
    sys.exit(1 if total else 0)


if __name__ == "__main__":
    main()

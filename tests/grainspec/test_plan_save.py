"""Plan files: saving is a round trip, and files that no compiler makes are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from quarters import compiled

from grainspec import GrainError
from grainspec.plan.mask_plan import MaskPlan
from grainspec.plan.save import load_plan, save_plan
from grainspec.testing import Case, plans


@given(case=plans())
def test_saving_is_a_round_trip(case: Case, tmp_path_factory: pytest.TempPathFactory) -> None:
    plan = case.plan
    path = tmp_path_factory.mktemp("plan") / "p.safetensors"
    save_plan(plan, path)
    loaded = load_plan(path)
    assert loaded == plan
    assert loaded.header() == plan.header()
    for name, array in plan.arrays().items():
        assert loaded.arrays()[name].dtype == array.dtype
        assert (loaded.arrays()[name] == array).all()


def test_files_that_are_no_plan_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    with pytest.raises(GrainError, match="G405"):
        load_plan(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(GrainError, match="G405"):
        load_plan(path)
    save_plan(compiled(), path)
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(GrainError, match="checksum of the plan .* does not match its contents"):
        load_plan(path)
    path.write_bytes(bytes(content[:-100]))
    with pytest.raises(GrainError, match="G405"):
        load_plan(path)


def test_plans_with_content_that_no_compiler_makes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    plan = compiled()
    level = plan.levels[0]
    broken: list[MaskPlan] = [
        replace(plan, training_steps=0),
        replace(plan, key_frames_FK=plan.key_frames_FK + 5),
        replace(plan, words_ET=~plan.words_ET),
        replace(plan, members_CE=~plan.members_CE),
        replace(plan, edited_FHW=plan.edited_FHW[:, :2]),
        replace(plan, edits=(replace(plan.edits[0], weight=float("nan")), *plan.edits[1:])),
    ]
    for change in (
        {"labels_FHW": level.labels_FHW + 9},
        {"labels_FHW": level.labels_FHW.astype(np.int64)},
        {"cross_repel_FC": level.cross_repel_FC + np.float32(np.inf)},
        {"self_attract_FC": level.self_attract_FC - 1},
        {"self_repel_FC": level.self_repel_FC[:, :1]},
    ):
        broken.append(replace(plan, levels=(replace(level, **change), *plan.levels[1:])))  # type: ignore[arg-type]
    for one in broken:
        save_plan(replace(one, _cache={}), path)
        with pytest.raises(GrainError, match="G405"):
            load_plan(path)
    metadata = {"format": "grainspec.plan.3", "plan": json.dumps(plan.header())}
    odd = {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}
    head = json.dumps({"__metadata__": metadata, "members": odd}).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + bytes(4))
    with pytest.raises(GrainError, match="G405"):
        load_plan(path)


def test_equal_plans_are_equal_files(tmp_path: Path) -> None:
    """safetensors alone writes metadata in an order that changes from file to file."""
    plan = compiled()
    files = set()
    for index in range(8):
        save_plan(plan, tmp_path / f"{index}.safetensors")
        files.add((tmp_path / f"{index}.safetensors").read_bytes())
    assert len(files) == 1
    assert load_plan(tmp_path / "0.safetensors").digest == plan.digest

"""The contract of a model family: `check_family` for every pipeline class of every family.

A new family is tested by adding a tiny checkpoint of each of its pipelines to
``tiny_models.TINY``; nothing here knows what kind of network it is. What is wrong in a family, and
what is said of it, is tested in ``test_check_family.py``.
"""

from __future__ import annotations

import pytest
from tiny_models import TINY
from wan import stand_in_for_ftfy

from grainspec_runtime.backbones.registry import pipelines
from grainspec_runtime.testing import check_family
from grainspec_runtime.testing.family.check import NAMES
from grainspec_runtime.testing.family.subject import Subject


@pytest.fixture(scope="module", params=sorted(TINY))
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    stand_in_for_ftfy()
    folder = tmp_path_factory.mktemp("family") / "model"
    TINY[request.param](folder)
    return Subject(folder)


@pytest.mark.parametrize("pipeline", sorted(pipelines()))
def test_every_pipeline_has_a_tiny_checkpoint(pipeline: str) -> None:
    has = any(name.partition(",")[0] == pipeline for name in TINY)
    assert has, f"add a tiny {pipeline} to tiny_models.TINY"


@pytest.mark.parametrize("name", NAMES)
def test_a_family_keeps_its_promises(subject: Subject, name: str) -> None:
    check_family(subject, properties=[name])


def test_all_of_them_are_known() -> None:
    assert {"found", "labels", "tokens", "phrases", "conditional", "restored"} < set(NAMES)
    with pytest.raises(ValueError, match=r"unknown properties \['label'\]; there are \['found'"):
        check_family("demo", properties=["label"])

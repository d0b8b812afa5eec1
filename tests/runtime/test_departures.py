"""What differs from the publications is declared for every method, in sentences."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from grainspec.model.settings.method import EditingName, MethodName
from grainspec.model.settings.profiles import Profile
from grainspec.model.settings.sampler import ProcessName, Sampler
from grainspec_runtime.processes.departures import OF_PROFILES, departures
from grainspec_runtime.processes.registry import EDITING

NAMES = [*EDITING, *OF_PROFILES]


def test_every_method_and_process_declares_its_own() -> None:
    assert set(EDITING) == {*get_args(MethodName), *get_args(ProcessName)}
    for name, make in EDITING.items():
        assert "departures" in vars(make), name
    assert set(OF_PROFILES) <= set(get_args(Profile))


@pytest.mark.parametrize("name", NAMES)
def test_each_says_what_is_published_what_is_done_here_and_why(name: EditingName) -> None:
    """All methods depart in something: none of the papers' models is the demo's."""
    found = departures(name)
    assert found
    assert len(set(found)) == len(found)
    for sentence in found:
        assert re.fullmatch(r"[A-Z][^;]+; here,? [^;]+,? because [^;]+\.", sentence), sentence
        assert "  " not in sentence
        assert not re.search(r"\. [A-Z]", sentence), f"two sentences: {sentence}"


def test_numbers_of_defaults_are_those_of_the_language() -> None:
    sampler = Sampler()
    ours = f"by default {sampler.guidance:g} and {sampler.source_guidance:g}, because"
    assert any(ours in sentence for sentence in departures("dfvedit"))


def test_tokenflow_names_what_the_papers_appendix_says() -> None:
    """Appendix A: 1000 steps of inversion, and the input tokens of self-attention."""
    found = departures("tokenflow")
    assert any("inverts in 1000 steps" in sentence for sentence in found)
    (tokens,) = (sentence for sentence in found if "the inputs of self-attention" in sentence)
    assert "appendix A" in tokens.partition(";")[0]


def test_other_names_are_refused() -> None:
    with pytest.raises(KeyError):
        departures("stable_diffusion")

"""What a missing package's cure names: an extra that has the package."""

from __future__ import annotations

import re
import tomllib

import pytest
from clips import ROOT

from grainspec.cli.ending import finding_of
from grainspec.extras import EXTRAS

OF_DEPENDENCIES = {"grpc", "lsprotocol", "aiobotocore", "boto3", "botocore"}
"""Modules that a package of their extra brings along."""


@pytest.mark.parametrize(("module", "extra"), EXTRAS.items())
def test_an_extra_has_its_packages(module: str, extra: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    packages = {re.split(r"[^\w-]", requirement)[0] for requirement in extras[extra]}
    assert module in packages | OF_DEPENDENCIES


@pytest.mark.parametrize(
    ("module", "extra"),
    [("ray", "cluster"), ("pyarrow.parquet", "cluster"), ("torch", "runtime"), ("cv2", "runtime")],
)
def test_a_missing_package_names_its_extra(module: str, extra: str) -> None:
    finding = finding_of(ModuleNotFoundError("no", name=module))
    assert finding.code == "G501"
    assert f"`pip install 'grainspec[{extra}]'`" in finding.cure

"""The image and the cluster file, as far as they can be tested without a registry of images."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "runtime" / "deploy"


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, without comments and continued lines."""
    lines = [line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if line[:1] != "#"]
    joined = "\n".join(lines).replace("\\\n", " ")
    words = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    return [(word, rest) for word, rest in words]


def test_the_image_is_made_of_what_is_there() -> None:
    known = {"ARG", "FROM", "ENV", "WORKDIR", "COPY", "RUN", "VOLUME", "CMD"}
    assert {word for word, _ in instructions()} <= known
    copied: dict[str, str] = {}
    for word, rest in instructions():
        if word == "COPY":
            *sources, target = [part for part in shlex.split(rest) if not part.startswith("--")]
            for source in sources:
                assert (ROOT / source).exists(), source
                copied[source] = target
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    settings = project["tool"]["setuptools"]
    for folder in settings["package-dir"].values():  # what setuptools needs to build the package
        assert copied.get(folder, "").removeprefix("./") == folder
    for file in ("pyproject.toml", project["project"]["readme"]):
        assert copied[file] == "./"
    [install] = [rest for word, rest in instructions() if word == "RUN" and "pip install" in rest]
    [extras] = re.findall(r"\.\[(.*?)\]", install)
    assert set(extras.split(",")) <= project["project"]["optional-dependencies"].keys()


def test_the_image_has_the_pinned_ray_and_python() -> None:
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if line
    )
    [base] = [rest for word, rest in instructions() if word == "ARG"]
    ray, python = re.findall(r"ray:([\d.]+)-py(\d+)", base)[0]
    assert ray == pins["ray"]
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert wanted == f">={python[0]}.{python[1:]}"


def test_the_cluster_file_is_one_of_rays() -> None:
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    import jsonschema
    import ray
    import yaml

    schema: Any = json.loads((Path(ray.__file__).parent / "autoscaler/ray-schema.json").read_text())
    config = yaml.safe_load((DEPLOY / "cluster.yaml").read_text())
    jsonschema.validate(config, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**config, "wrokers": 4}, schema)


def test_rays_launcher_accepts_the_cluster_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `ray up` does with the file before it reaches for a machine."""
    pytest.importorskip("ray")
    import yaml
    from ray.autoscaler._private import commands
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(yaml.safe_load((DEPLOY / "cluster.yaml").read_text()))
    validate_config(config)
    [node] = config["available_node_types"].values()
    assert node["max_workers"] == len(config["provider"]["worker_ips"]) == config["max_workers"]
    image = re.findall(r"-t (\S+)", (DEPLOY / "README.md").read_text())
    assert config["docker"]["image"] in image  # which the page says how to build
    assert config["docker"]["pull_before_run"] is False  # for an image that no registry has
    assert node["min_workers"] == node["max_workers"]  # all join at once
    complaints: list[str] = []
    monkeypatch.setattr(commands.cli_logger, "warning", lambda text, *_: complaints.append(text))
    commands.warn_about_bad_start_command(config["head_start_ray_commands"])
    assert not complaints  # the head starts the workers
    commands.warn_about_bad_start_command(config["worker_start_ray_commands"])
    assert complaints


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray's own modules
def test_options_of_ray_and_grain_exist() -> None:
    pytest.importorskip("ray")
    import yaml
    from ray.scripts import scripts

    from grainspec_runtime.commands.batch import batch

    config = yaml.safe_load((DEPLOY / "cluster.yaml").read_text())
    lines = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    known: dict[str, Any] = {"ray start": scripts.start, "grain batch": batch.commands["run"]}
    shown = (DEPLOY / "README.md").read_text() + (DEPLOY / "cluster.yaml").read_text()
    lines += re.findall(r"grain batch(?! status| run --help)[^`'\n]*", shown)
    checked = 0
    for line in lines:
        command = known.get(" ".join(line.split()[:2]))
        options = {name for one in command.params for name in one.opts} if command else set()
        for word in re.findall(r"(?<!\S)--?[a-z][a-z-]*", line):
            assert word in options, line
            checked += 1
    assert checked >= 8


def test_the_image_is_repeatable_and_without_secrets() -> None:
    words = dict(instructions())
    assert re.search(r":(?!latest)\S+$", words["ARG"])
    said = (DEPLOY / "Dockerfile").read_text()
    assert not re.search(r"(?i)password|token|secret|api_key|ADD |sudo|curl .*\| *sh", said)
    for word, rest in instructions():
        if word == "RUN" and "pip install" in rest:
            assert {"--no-cache-dir", "-c", "constraints.txt"} <= set(rest.split())


def test_the_image_and_the_page_name_the_command_that_lists_options() -> None:
    pytest.importorskip("torch")
    from click.testing import CliRunner

    from grainspec_runtime.commands.batch import batch

    _, *command = json.loads(dict(instructions())["CMD"])
    assert f"`grain {' '.join(command)}` lists its options" in (DEPLOY / "README.md").read_text()
    assert "--object-store" in CliRunner().invoke(batch, command[1:]).output


def test_the_memory_of_the_scheduler_is_what_was_measured() -> None:
    results = ROOT / "runtime/benchmarks/results/2026-11-28-batch-scheduler.json"
    runs = json.loads(results.read_text())["results"].values()
    of_jobs = [
        [mb for jobs, mb in run["memory in MB after jobs"].items() if int(jobs) >= 1000]
        for run in runs
    ]
    first = [values[0] for values in of_jobs]
    page = [run["memory in MB at the end"] - mb[-1] for run, mb in zip(runs, of_jobs, strict=True)]
    said = " ".join((DEPLOY / "README.md").read_text().split())
    said = said[said.index("**Scheduler.**") : said.index("**CPUs.**")]
    numbers = [int(number) for number in re.findall(r"(\d+)(?: MB| and)", said)]
    change = max(max(values) - min(values) for values in of_jobs)
    assert numbers[:3] == [int(mb + 0.5) for mb in first]
    assert change <= numbers[3] < change + 1
    assert numbers[4:7] == [round(mb) for mb in page]

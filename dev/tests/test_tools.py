"""What runs the checks: workflow, pre-commit, updates, and the names of measurements."""

import os
import re

import pytest
import yaml

from dev.bench.__main__ import MODULES, resolve
from dev.environment import BASE_DIR


def parsed(name):
    return yaml.safe_load((BASE_DIR / name).read_text())


def test_workflow_runs_the_script_of_every_change():
    [job] = parsed(".github/workflows/ci.yml")["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]

    assert commands == [".ci/run"]
    assert os.access(BASE_DIR / ".ci" / "run", os.X_OK)


def test_workflow_pins_its_actions():
    [job] = parsed(".github/workflows/ci.yml")["jobs"].values()
    actions = [step["uses"] for step in job["steps"] if "uses" in step]

    assert actions
    assert all(re.search(r"@v\d+\.\d+\.\d+$", action) for action in actions)


def test_pre_commit_has_the_ruff_of_the_requirements():
    [hook] = parsed(".pre-commit-config.yaml")["repos"]
    requirements = (BASE_DIR / "requirements" / "dev.txt").read_text().splitlines()

    assert f"ruff=={hook['rev'].removeprefix('v')}" in requirements


def test_updates_are_proposed_for_files_that_are_there():
    updates = {
        update["package-ecosystem"]: update["directory"]
        for update in parsed(".github/dependabot.yml")["updates"]
    }

    assert updates == {"pip": "/requirements", "npm": "/dev/newman", "github-actions": "/"}
    assert (BASE_DIR / "requirements" / "base.in").exists()
    assert (BASE_DIR / "dev" / "newman" / "package-lock.json").exists()


def test_scripts_of_make_are_there_and_can_run():
    scripts = re.findall(r"@(dev/\S+\.sh)", (BASE_DIR / "Makefile").read_text())

    assert len(scripts) == 5
    assert all(os.access(BASE_DIR / script, os.X_OK) for script in scripts)


@pytest.mark.parametrize(
    ("arguments", "module", "rest"),
    [
        ([], "performance", []),
        (["--trial"], "performance", ["--trial"]),
        (["calls", "--json"], "performance", ["--only", "calls", "--json"]),
        (["back-office", "--small"], "back_office", ["--small"]),
    ],
)
def test_measurement_is_found_by_its_name(arguments, module, rest):
    assert resolve(arguments) == (module, rest)


def test_measurements_have_a_module_each():
    folder = BASE_DIR / "dev" / "bench"

    assert all((folder / f"{module}.py").exists() for module in MODULES.values())


def test_unknown_measurement_is_refused():
    with pytest.raises(SystemExit, match="no measurement sends"):
        resolve(["sends"])

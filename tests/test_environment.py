"""environment.yml, pyproject.toml and constraints.txt say the same, and nothing of one machine is in them."""

import re
import tomllib
from pathlib import Path

import pytest
from rattler import MatchSpec

ROOT = Path(__file__).parents[1]
THE_NINE = {
    "jupyterlab", "ipywidgets", "simpy", "numpy", "pandas", "matplotlib", "scikit-learn", "shap", "nbval",
}  # fmt: skip
CONDA_ONLY = {"python", "pip"}
LINE = re.compile(r"^  - (?P<spec>[a-z][^#\s:]*)(?:  # (?P<reason>.+))?$", re.MULTILINE)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonical(name): version for name, version in pairs}


def conda_lines() -> list[re.Match[str]]:
    text = (ROOT / "environment.yml").read_text()
    return list(LINE.finditer(text[text.index("dependencies:") :]))


def conda_specs() -> dict[str, MatchSpec]:
    specs = [MatchSpec(line["spec"]) for line in conda_lines()]
    return {spec.name.normalized: spec for spec in specs}


def wanted() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {canonical(name) for name in [*project["dependencies"], *project["optional-dependencies"]["test"]]}


def test_conda_installs_what_pip_installs():
    assert set(conda_specs()) - CONDA_ONLY == wanted()


def test_every_line_has_a_reason():
    without = [line["spec"] for line in conda_lines() if not line["reason"]]
    assert not without


def test_every_dependency_line_was_read():
    text = (ROOT / "environment.yml").read_text()
    lines = re.findall(r"^  - .*", text[text.index("dependencies:") :], re.MULTILINE)
    assert len(conda_lines()) == len(lines) - 1, "all but the line 'pip:'"


@pytest.mark.parametrize("name", sorted(wanted()))
def test_conda_version_is_the_pin(name):
    assert str(conda_specs()[name].version) == f"=={pins()[name]}"


def test_the_customers_nine_packages_are_there():
    assert set(conda_specs()) >= THE_NINE
    assert wanted() >= THE_NINE


def test_every_dependency_and_extra_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [name for names in project["optional-dependencies"].values() for name in names]
    assert {canonical(name) for name in [*project["dependencies"], *extras]} <= set(pins())


def test_pins_are_exact_and_name_no_host():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    odd = [line for line in lines if not line.startswith("#") and not re.fullmatch(r"[\w.-]+==[\w.!+]+", line)]
    assert not odd
    assert "://" not in "".join(lines)
    assert not re.search(r"\b[\w-]+\.(?:org|com|io|net|dev)\b", "".join(lines))


def test_only_conda_forge_is_asked():
    text = (ROOT / "environment.yml").read_text()
    assert re.search(r"^channels:\n  - conda-forge\ndependencies:", text, re.MULTILINE)
    assert "://" not in text

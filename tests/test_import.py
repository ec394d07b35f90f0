"""`import simlib` is light, every public name is there, and every example in a docstring runs."""

import doctest
import json
import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import simlib

ROOT = Path(__file__).parents[1]
HEAVY = (
    *("numba", "matplotlib", "shap", "sklearn", "scipy.stats", "dask", "distributed", "tqdm", "ipywidgets"),
    *("IPython", "networkx", "joblib", "nbformat"),
)
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages([str(ROOT / "simlib")], "simlib.")
    if not module.name.endswith("__main__")
)


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh Python has loaded after *code*."""
    command = [sys.executable, "-c", f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("code", ["import simlib", "import simlib.__main__", "from simlib import workload, pricing"])
def test_importing_is_light(code):
    assert loaded_by(code).isdisjoint(HEAVY)


def test_making_deployments_and_workloads_is_light():
    story = (
        "import simlib as sl\nfrom simlib import serving, workload\n"
        "serving.RealTime(sl.ModelProfile('m', sl.lognormal(mean=0.1, cv=0.5))); workload.diurnal(3.0)"
    )
    assert loaded_by(story).isdisjoint(HEAVY)


def test_a_summary_needs_no_more_than_the_compiler():
    story = (
        "import simlib as sl\nfrom simlib import serving, workload\n"
        "model = sl.ModelProfile('m', sl.constant(0.1))\n"
        "sl.simulate(serving.RealTime(model), workload.poisson(rate=1), hours=0.1).summary()"
    )
    assert loaded_by(story).isdisjoint(set(HEAVY) - {"numba"})


def test_every_public_name_is_there():
    for name in simlib.__all__:
        assert getattr(simlib, name) is not None, name
    assert simlib.__all__ == sorted(simlib.__all__)
    assert set(simlib.__all__) <= set(dir(simlib))
    with pytest.raises(AttributeError, match="simlib has no 'simulat'"):
        _ = simlib.simulat


@pytest.mark.parametrize("name", MODULES)
def test_every_name_a_module_offers_is_there(name):
    module = import_module(name)
    for each in getattr(module, "__all__", ()):
        assert getattr(module, each) is not None, each


@pytest.mark.parametrize("name", ["simlib", *MODULES])
def test_every_example_in_a_docstring_runs(name, tmp_path, monkeypatch):
    module = import_module(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIMLIB_HOME", str(tmp_path))
    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS, verbose=False)
    assert failed == 0


def test_the_package_itself_has_an_example():
    assert len(doctest.DocTestFinder().find(simlib, "simlib")[0].examples) > 3


def test_every_public_function_says_what_it_does():
    for name in simlib.__all__:
        found = getattr(simlib, name)
        assert (found.__doc__ or "").strip(), name

"""The doctor finds what is wrong, says what to do, and the command line speaks in sentences."""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from simlib.__main__ import COMMANDS, main
from simlib.commands import doctor
from simlib.parameters import ParameterError


def test_this_installation_is_sound(capsys):
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "simlib works here." in printed
    for name in ("Python 3", "simpy", "numba", "jupyterlab", "pyyaml", "compiled lanes", "importing simlib took"):
        assert name in printed


def test_an_old_python_is_broken():
    finding = doctor.check_python((3, 10, 13))
    assert finding.level == "broken"
    assert "install Python 3.11" in finding.advice


def packages(monkeypatch, requirements: list[str], pins: dict[str, str]) -> list[doctor.Finding]:
    monkeypatch.setattr(doctor.metadata, "requires", lambda _: requirements)
    return list(doctor.check_packages(pins))


def test_a_missing_package_is_broken(monkeypatch):
    (finding,) = packages(monkeypatch, ["no-such-package"], {"simpy": "1"})
    assert finding.level == "broken"
    assert "no-such-package is not installed" in finding.text()


def test_a_package_that_cannot_be_imported_is_broken(monkeypatch):
    def fail(name: str) -> None:
        raise ImportError("its library is missing")

    monkeypatch.setattr(doctor, "import_module", fail)
    (finding,) = packages(monkeypatch, ["simpy"], {"simpy": "1"})
    assert finding.level == "broken"
    assert "its library is missing" in finding.what


def test_another_version_is_a_warning(monkeypatch):
    (finding,) = packages(monkeypatch, ["PyYAML>=6; python_version > '3'"], {"pyyaml": "1.2.3"})
    assert finding.level == "warning"
    assert "1.2.3 was tested" in finding.what


def test_extras_are_not_asked_for(monkeypatch):
    assert packages(monkeypatch, ['no-such-package; extra == "test"'], {"simpy": "1"}) == []


def test_simlib_that_is_not_installed_is_said(monkeypatch):
    def fail(name: str) -> None:
        raise doctor.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "requires", fail)
    (finding,) = doctor.check_packages({})
    assert finding.level == "broken"


def test_pins_are_read_with_canonical_names(tmp_path):
    (tmp_path / "constraints.txt").write_text("# a==b\nPyYAML==6.0\ntyping_extensions==4.1\n")
    pins = doctor.pinned_versions(tmp_path / "constraints.txt")
    assert pins == {"pyyaml": "6.0", "typing-extensions": "4.1"}
    assert doctor.pinned_versions(tmp_path / "nothing.txt") == {}


def test_no_writable_cache_is_a_warning(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(doctor, "_cache_folders", lambda: [tmp_path / "file" / "below"])
    finding = doctor.check_cache()
    assert finding.level == "warning"
    assert "lanes compile uncached in each session" in finding.what


def probed(monkeypatch, **result: object) -> list[doctor.Finding]:
    completed = SimpleNamespace(**({"returncode": 0, "stdout": "", "stderr": ""} | result))
    monkeypatch.setattr(doctor.subprocess, "run", lambda *_, **__: completed)
    return list(doctor.check_simulations([["RANDOM"]]))


def test_a_failing_simulation_is_broken_and_says_why(monkeypatch):
    (finding,) = probed(monkeypatch, returncode=1, stderr="Traceback\nLoweringError: no lane")
    assert finding.level == "broken"
    assert "LoweringError: no lane" in finding.what


def test_timings_are_said(monkeypatch):
    first, second = probed(monkeypatch, stdout=json.dumps({"import_s": 0.61, "simulate_s": 1.24}))
    assert "0.6 s" in first.what
    assert "1.2 s" in second.what


def test_quiet_prints_problems_only_and_broken_exits_1(monkeypatch, capsys):
    findings = [doctor.Finding("ok", "fine"), doctor.Finding("broken", "not fine", "do this")]
    monkeypatch.setattr(doctor, "examine", lambda _: findings)
    assert doctor.run(argparse.Namespace(compile=False, quiet=True, grading=False)) == 1
    printed = capsys.readouterr().out
    assert "not fine" in printed
    assert "do this" in printed
    assert "ok " not in printed


# --- the command line -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([name.replace("_", "-"), "--help"])
    assert stop.value.code == 0
    assert f"simlib {name.replace('_', '-')}" in capsys.readouterr().out.split("example")[1]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (FileNotFoundError(2, "No such file or directory", "log.csv"), "log.csv: No such file or directory."),
        (PermissionError("may not"), "may not"),
        (ParameterError("Tank needs the parameter 'litres'."), "Tank needs the parameter 'litres'."),
    ],
)
def test_a_users_error_is_one_sentence_and_status_2(monkeypatch, capsys, error, sentence):
    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr(doctor, "run", fail)
    assert main(["doctor"]) == 2
    assert capsys.readouterr().err == f"simlib doctor: {sentence}\n"


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch):
    def fail(_: object) -> int:
        raise ValueError("a bug")

    monkeypatch.setattr(doctor, "run", fail)
    with pytest.raises(ValueError, match="a bug"):
        main(["doctor"])


def test_student_copy_refuses_a_folder_in_use(tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("years of work")
    assert main(["student-copy", str(tmp_path)]) == 2
    assert "is no student copy" in capsys.readouterr().err


def test_a_closed_pipe_is_no_error():
    root = Path(__file__).parents[1]
    command = f"'{sys.executable}' -m simlib doctor | head -n 1"
    done = subprocess.run(["sh", "-c", command], cwd=root, capture_output=True, text=True, check=True)
    assert done.stderr == ""

"""Each mistake that somebody may make with artifacts is one sentence, and leaves nothing behind."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from simlib import artifacts
from simlib.artifacts.server import MOST_THREADS
from simlib.parameters import ParameterError

NOWHERE = "http://127.0.0.1:9"
CODE = "def model_fn(model_dir):\n    return 1\n\n\ndef transform_fn(model, body, kind, accept):\n    return 'x'\n"


def _log(**columns: Any) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    arrival, service = rng.exponential(0.02, 100).cumsum(), rng.gamma(4, 0.0025, 100)
    log = pd.DataFrame({"arrival_s": arrival, "finish_s": arrival + service, "service_s": service})
    return log.assign(status="completed").assign(**columns)


def _forecast(**options: Any) -> artifacts.Forecast:
    return artifacts.forecast(**({"calibration": _log(), "rate": 10.0, "requests": 20, "replications": 20} | options))


def _drive(**options: Any) -> pd.DataFrame:
    return artifacts.drive(**({"url": NOWHERE, "times": [0.0], "body": "x"} | options))


MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "moved: words": (lambda: artifacts.moved(_log(service_s="x"), _log()), "service_s='x' in calibration"),
    "moved: NaN": (lambda: artifacts.moved(_log(service_s=math.nan), _log()), "service_s=nan in calibration"),
    "moved: infinite": (lambda: artifacts.moved(_log(), _log(service_s=math.inf)), "service_s=inf in run"),
    "moved: no time": (lambda: artifacts.moved(_log(service_s=0.0), _log()), "took no time"),
    "moved: negative": (lambda: artifacts.moved(_log(service_s=-1.0), _log()), "took no time"),
    "moved: no log": (lambda: artifacts.moved(None, _log()), "moved: calibration=None is not possible"),
    "moved: column twice": (lambda: artifacts.moved(pd.concat([_log(), _log()], axis=1), _log()), "has no column"),
    "moved: percent": (lambda: artifacts.moved(_log(), _log(), confidence=95), "confidence=95 is not possible"),
    "replay: words": (lambda: artifacts.replay(_log(arrival_s="x")), "arrival_s='x' in log"),
    "replay: finished never": (lambda: artifacts.replay(_log(finish_s=math.nan)), "finish_s=nan in log"),
    "replay: finished early": (lambda: artifacts.replay(_log(finish_s=0.0)), "less than it was worked on"),
    "replay: overhead of whom": (lambda: artifacts.replay(_log(), overhead=[0.1]), "give their own record, sent="),
    "replay: sent of others": (
        lambda: artifacts.replay(_log(), sent=pd.DataFrame()),
        "sent has no column 'intended_s'",
    ),
    "overhead: a log by hand": (lambda: artifacts.overhead(_drive(), _log()), "has no column 'inference_id'"),
    "overhead: other requests": (
        lambda: artifacts.overhead(_drive().assign(code=200), _log(inference_id="a")),
        "do not belong together: 0 of 1",
    ),
    "overhead: nobody answered": (
        lambda: artifacts.overhead(_drive(), _log(inference_id="a")),
        "its code should be 200",
    ),
    "overhead: no record": (lambda: artifacts.overhead("sent", _log(inference_id="a")), "sent='sent' is not possible"),
    "replay: workers": (lambda: artifacts.replay(_log(), workers=10**400), "workers=1000"),
    "forecast: no log": (lambda: _forecast(calibration=None), "forecast: calibration=None is not possible"),
    "forecast: two logs": (lambda: _forecast(calibration=[_log(), _log()]), "calibration has 2 logs"),
    "forecast: one of them none": (
        lambda: _forecast(calibration=[_log(), _log(), 3]),
        "forecast: calibration=3 is not",
    ),
    "forecast: words": (lambda: _forecast(calibration=_log(service_s="x")), "service_s='x' in calibration"),
    "forecast: rate": (lambda: _forecast(rate=1e300), "rate=1e+300 is not possible"),
    "forecast: rate of never": (lambda: _forecast(rate=1e-300), "rate=1e-300 is not possible"),
    "forecast: percent": (lambda: _forecast(moves_by=10.0), "moves_by=10.0 is not possible"),
    "forecast: workers": (lambda: _forecast(workers=10**400), "workers=1000"),
    "forecast: too many": (lambda: _forecast(replications=10**400), "replications=1000"),
    "forecast: too few": (lambda: _forecast(replications=2), "replications=2 is not possible"),
    "forecast: overhead": (lambda: _forecast(overhead=[math.nan]), "it should be a row of seconds"),
    "forecast: two overheads": (lambda: _forecast(overhead=[[0.1], [0.2]]), "or three or more with means above 0"),
    "forecast: overhead below": (lambda: _forecast(overhead=[[-0.1]] * 3), "or three or more with means above 0"),
    "forecast: no overhead": (lambda: _forecast(overhead="much"), "overhead='much' is not possible"),
    "holds: a number": (lambda: _forecast().holds(3), "as artifacts.figures(latencies) gives it"),  # type: ignore[arg-type]
    "holds: others": (lambda: _forecast().holds(pd.Series({"x": 1.0})), "as artifacts.figures(latencies) gives it"),
    "figures: a word": (lambda: artifacts.figures("abc"), "latencies='abc' is not possible"),
    "figures: nothing": (lambda: artifacts.figures(None), "latencies=None is not possible"),
    "figures: a number": (lambda: artifacts.figures(3), "latencies=3 is not possible"),
    "figures: words": (lambda: artifacts.figures(["a"]), "latencies=['a'] is not possible"),
    "figures: a table": (lambda: artifacts.figures(np.ones((2, 2))), "it should be a row of numbers"),
    "figures: ragged": (lambda: artifacts.figures([[1], [1, 2]]), "it should be a row of numbers"),
    "drive: no address": (lambda: _drive(url="nonsense"), "it should be like 'http://127.0.0.1:8080'"),
    "drive: another protocol": (lambda: _drive(url="ftp://x"), "url='ftp://x' is not possible"),
    "drive: port": (lambda: _drive(url="http://127.0.0.1:99999"), "url='http://127.0.0.1:99999' is not possible"),
    "drive: port in words": (lambda: _drive(url="http://127.0.0.1:abc"), "is not possible"),
    "drive: no host": (lambda: _drive(url="http://"), "url='http://' is not possible"),
    "drive: a space": (lambda: _drive(url="http://a b"), "url='http://a b' is not possible"),
    "drive: a long host": (lambda: _drive(url="http://" + "a" * 300), "is not possible"),
    "drive: half a host": (lambda: _drive(url="http://[::1"), "is not possible"),
    "drive: two headers": (lambda: _drive(content_type="a\r\nb: c"), "content_type='a\\r\\nb: c' is not possible"),
    "drive: a foreign header": (lambda: _drive(content_type="€"), "content_type='€' is not possible"),
    "drive: accept": (lambda: _drive(accept="a\0"), "accept='a\\x00' is not possible"),
    "drive: half a letter": (lambda: _drive(body="\ud800"), "cannot be written as UTF-8"),
    "drive: next year": (lambda: _drive(times=[1e8]), "times should end within a day"),
    "drive: never": (lambda: _drive(times=[10**400]), "times=[1000"),
    "drive: complex": (lambda: _drive(times=[1j]), "times should be seconds from now"),
    "drive: connections": (lambda: _drive(connections=10_000_000), "connections=10000000 is not possible"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_cannot_be_measured_is_one_sentence(name: str) -> None:
    call, sentence = MISTAKES[name]
    with pytest.raises(ParameterError) as error:
        call()
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_year_of_patience_and_no_requests_are_no_mistakes() -> None:
    assert list(_drive(timeout_s=1e300)["code"]) == [0]
    assert not len(_drive(times=[]))
    assert artifacts.figures([]).isna().all()
    assert artifacts.figures([1, 2, 3])["mean_s"] == 2


# --- files -----------------------------------------------------------------------------------------------------------

EXTRA: dict[str, tuple[Any, str]] = {
    "a number": (3, "extra=3 is not possible"),
    "nothing": (0, "extra=0 is not possible"),
    "a table": (pd.DataFrame(), "is not possible: it should be like {'data.txt'"),
    "a list": (["a"], "extra=['a'] is not possible"),
    "content that is none": ({"a": 3}, "it should be bytes, text or a Path"),
    "a name that is none": ({3: "a"}, "a name should be text"),
    "a folder": ({"a": Path(__file__).parent}, "cannot be read: "),
    "a file that is not there": ({"a": Path("no such file")}, "cannot be read: No such file"),
    "no name": ({"": "x"}, "not every system can have"),
    "the weights": ({"model.pkl": "x"}, "pack writes that file itself"),
    "the manifest": ({"Manifest.json": "x"}, "pack writes that file itself"),
    "a file as a folder": ({"model.pkl/x": "x"}, "uses a file as a folder"),
    "a folder as a file": ({"code": "x"}, "uses a file as a folder"),
    "half a letter": ({"a": "\ud800"}, "cannot be written as UTF-8"),
    "half a letter as a name": ({"\ud800": "x"}, "not every system can have"),
    "a name that is too long": ({"a" * 300: "x"}, "not every system can have"),
}
PACKED: dict[str, tuple[dict[str, Any], str]] = {
    **{name: ({"extra": extra}, sentence) for name, (extra, sentence) in EXTRA.items()},
    "no code": ({"inference": "nofile.py"}, "inference='nofile.py' cannot be read"),
    "no path": ({"inference": "a\0b"}, "cannot be read: embedded null byte"),
    "half a letter of code": ({"inference": "\ud800\n"}, "cannot be written as UTF-8"),
    "one word": ({"requirements": "numpy"}, "it should be a list, such as ['numpy']"),
    "two lines in one": ({"requirements": ["a\nb"]}, "one line for each package"),
}


@pytest.mark.parametrize("name", PACKED)
def test_what_cannot_be_packed_is_not_written(name: str, tmp_path: Path) -> None:
    options, sentence = PACKED[name]
    with pytest.raises(ParameterError) as error:
        artifacts.pack(1, tmp_path / "model.tar.gz", **options)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_where_it_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "folder.tar.gz").mkdir()
    for path in (tmp_path / "folder.tar.gz", tmp_path / f"{'a' * 300}.tar.gz", tmp_path / "a\0.tar.gz"):
        with pytest.raises(ParameterError, match="cannot be written"):
            artifacts.pack(1, path)
    packed = artifacts.pack(1, tmp_path / "model.tar.gz")
    with pytest.raises(ParameterError, match="cannot be written"):
        artifacts.unpack(packed.path, tmp_path / ("b" * 300))
    with pytest.raises(ParameterError, match="registry=3 is not possible"):
        packed.register(3, "gates")  # type: ignore[arg-type]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.tar.gz", "model.tar.gz"]


NO_LOGS = {
    "no JSON": b"not json\n",
    "a list": b"[1]\n",
    "a number": b"1\n",
    "an empty line": b"\n",
    "words for times": b'{"arrival_s": "x", "status": "completed"}\n',
    "lists for times": b'{"arrival_s": [1], "status": "completed"}\n',
    "something else": b'{"a": 1}\n',
    "a well": b"[" * 100_000 + b"\n",
}


@pytest.mark.parametrize("name", NO_LOGS)
def test_what_is_no_access_log_is_said_with_its_line(name: str, tmp_path: Path) -> None:
    good = json.dumps({"arrival_s": 1.0, "start_s": None, "status": "rejected", "code": 503}).encode() + b"\n"
    (tmp_path / "log").write_bytes(good + NO_LOGS[name])
    with pytest.raises(ParameterError, match=r"read_log: line 2, .* is not what a server notes"):
        artifacts.read_log(tmp_path / "log")
    (tmp_path / "log").write_bytes(good)
    assert artifacts.read_log(tmp_path / "log")["inference_id"].isna().all()


def test_a_log_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\n")
    for path in (tmp_path, tmp_path / "none", "a\0", tmp_path / "bytes"):
        with pytest.raises(ParameterError, match="cannot be read: "):
            artifacts.read_log(path)


# --- the server ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    return artifacts.pack(None, folder / "m.tar.gz", inference=CODE, requirements=["nothing"]).path


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"port": 70_000}, "port=70000 is not possible"),
        ({"port": "80"}, "port='80' is not possible"),
        ({"port": 0, "host": "no such host"}, "host='no such host' and port=0 cannot be listened on"),
        ({"port": 0, "host": "192.0.2.1"}, "cannot be listened on"),  # of documentation, RFC 5737: nobody's
        ({"port": 0, "host": "a" * 300}, "cannot be listened on"),
        ({"port": 0, "log": Path(__file__).parent}, "cannot be written"),
        ({"port": 0, "log": "no/such/folder/log"}, "log='no/such/folder/log' cannot be written"),
        ({"port": 0, "log": "a\0"}, "cannot be written"),
        ({"port": 0, "ready": 3}, "ready=3 is not possible"),
        ({"port": 0, "workers": MOST_THREADS + 1}, "threads are too many"),
        ({"port": 0, "queue_limit": 10_000_000}, "threads are too many"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(options: dict[str, Any], sentence: str, packed: Path) -> None:
    with pytest.raises(ParameterError) as error:
        artifacts.serve(packed, **options)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"port": 70_000}, "Server: port=70000 is not possible"),
        ({"worker": 2}, "Server has no parameter 'worker'; did you mean 'workers'?"),
        ({"workers": "two"}, "workers='two' is not possible"),
        ({"log": "here"}, "Server has no parameter 'log'"),
    ],
)
def test_a_server_with_a_wrong_option_is_not_started(options: dict[str, Any], sentence: str, packed: Path) -> None:
    with pytest.raises(ParameterError) as error:
        artifacts.Server(packed, **options)
    assert sentence in str(error.value)


def test_a_port_that_is_taken_is_said_and_the_log_of_its_owner_stays(packed: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("what the other server noted\n")
    with artifacts.Server(packed) as server, pytest.raises(ParameterError, match="cannot be listened on: Address"):
        artifacts.serve(packed, port=int(server.url.rsplit(":", 1)[1]), log=log)
    assert log.read_text() == "what the other server noted\n"

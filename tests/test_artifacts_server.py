"""The local server: the contract of a container, nothing lost and nothing answered twice, whatever callers send."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path

import boto3
import numpy as np
import pandas as pd
import pytest
import urllib3
from botocore.config import Config

from simlib import artifacts
from simlib.parameters import ParameterError

Answering = Future[urllib3.BaseHTTPResponse]

# Says its input back; where that is "until" and a file, when the file is there.
ECHO = """
import pathlib
import sys
import time


def model_fn(model_dir):
    return None


def transform_fn(model, data, content_type, accept):
    words = data.decode() if isinstance(data, bytes) else data
    if words.startswith("until "):
        flag = pathlib.Path(words.removeprefix("until "))
        flag.with_suffix(".begun").touch()
        while not flag.exists():
            time.sleep(0.005)
    if words.startswith("fail"):
        raise RuntimeError("as asked")
    if words.startswith("say"):
        print(words, file=sys.stderr)
    if words == "no bytes":
        return object()
    return words, "text/plain"
"""


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("echo")
    return artifacts.pack(None, folder / "model.tar.gz", inference=ECHO, requirements=["nothing"]).path


@pytest.fixture(scope="module")
def server(echo: Path) -> Iterator[artifacts.Server]:
    with artifacts.Server(echo, workers=2, queue_limit=200, max_body_mb=1) as running:
        yield running


def _post(url: str, body: bytes | str, **headers: str) -> urllib3.BaseHTTPResponse:
    return urllib3.request("POST", f"{url}/invocations", body=body, headers=headers, retries=False, timeout=120)


def _hold(callers: ThreadPoolExecutor, url: str, flag: Path) -> Answering:
    """A request that a worker has begun, and that takes until *flag* is there."""
    held = callers.submit(_post, url, f"until {flag}")
    while not flag.with_suffix(".begun").exists():
        assert not held.done()
        time.sleep(0.005)
    return held


def _fill(callers: ThreadPoolExecutor, url: str, body: str, room: int) -> list[Answering]:
    """Requests in all the *room* there is: one more was asked, and has been refused."""
    asked = [callers.submit(_post, url, body) for _ in range(room + 1)]
    refused = next(as_completed(asked))
    answer = refused.result()
    assert (answer.status, answer.json()["message"][:11]) == (503, "all workers")
    return [each for each in asked if each is not refused]


# --- the contract ----------------------------------------------------------------------------------------------------


def test_it_answers_what_a_container_answers(server: artifacts.Server) -> None:
    ping = urllib3.request("GET", f"{server.url}/ping")
    assert (ping.status, ping.data) == (200, b"")
    said = urllib3.request("GET", f"{server.url}/execution-parameters").json()
    assert said == {"MaxConcurrentTransforms": 2, "BatchStrategy": "MultiRecord", "MaxPayloadInMB": 1}
    answer = _post(server.url, "hello", **{"Content-Type": "text/csv"})
    assert (answer.status, answer.data, answer.headers["Content-Type"]) == (200, b"hello", "text/plain")
    assert urllib3.request("GET", f"{server.url}/else").status == 404


def test_a_wrong_method_is_said_with_the_right_one(server: artifacts.Server) -> None:
    for method, path, right in [
        ("GET", "/invocations", "POST"),
        ("PUT", "/endpoints/gate/invocations", "POST"),
        ("POST", "/ping", "GET, HEAD"),
        ("DELETE", "/execution-parameters", "GET, HEAD"),
    ]:
        answer = urllib3.request(method, f"{server.url}{path}", retries=False)
        assert (answer.status, answer.headers["Allow"]) == (405, right)
    one_connection = urllib3.HTTPConnectionPool("127.0.0.1", int(server.url.rsplit(":", 1)[1]), maxsize=1, block=True)
    for path, status in (("/ping", 200), ("/execution-parameters", 200), ("/invocations", 405), ("/else", 404)):
        assert one_connection.request("HEAD", path).status == status
        assert one_connection.request("GET", "/ping").status == 200, "the answer to HEAD had a body"


def test_a_real_sagemaker_client_works_as_it_is(server: artifacts.Server) -> None:
    client = boto3.client(
        "sagemaker-runtime",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="none",
        aws_secret_access_key="none",
        config=Config(retries={"max_attempts": 1}),
    )
    found = client.invoke_endpoint(
        EndpointName="gate-1", Body=b"1,2", ContentType="text/csv", Accept="text/csv", InferenceId="mine"
    )
    end = time.monotonic() + 60
    while "mine" not in set(server.log()["inference_id"]) and time.monotonic() < end:
        time.sleep(0.05)  # the log is written beside
    assert server.log()["inference_id"].iloc[-1] == "mine"
    assert found["Body"].read() == b"1,2"
    assert found["ContentType"] == "text/plain"
    with pytest.raises(client.exceptions.ClientError) as error:
        client.invoke_endpoint(EndpointName="gate-1", Body=b"fail", ContentType="text/csv")
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500


def test_only_this_machine_is_listened_to(server: artifacts.Server) -> None:
    port = int(server.url.rsplit(":", 1)[1])
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in others - {"127.0.0.1"}:
        with pytest.raises(OSError), socket.create_connection((address, port), timeout=1):  # noqa: PT011
            pass
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        pass


# --- nothing lost, nothing twice -------------------------------------------------------------------------------------


def test_ten_thousand_requests_with_64_connections(echo: Path) -> None:
    pool = urllib3.PoolManager(maxsize=64, block=True, retries=False, timeout=60)
    with artifacts.Server(echo, workers=2, queue_limit=200) as server:

        def ask(number: int) -> tuple[int, bytes]:
            found = pool.request("POST", f"{server.url}/invocations", body=f"request {number}")
            return found.status, found.data

        with ThreadPoolExecutor(64) as callers:
            answers = list(callers.map(ask, range(10_000)))
        assert answers == [(200, f"request {number}".encode()) for number in range(10_000)]
        assert server.stop() == 0
        log = server.log()
    assert len(log) == 10_000
    assert (log["status"] == "completed").all()
    _check_log(log, workers=2)


def test_who_waits_starts_when_the_worker_falls_free(echo: Path, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    with artifacts.Server(echo, workers=1, queue_limit=3) as server, ThreadPoolExecutor(5) as callers:
        _hold(callers, server.url, flag)
        _fill(callers, server.url, "soon", 3)
        flag.touch()
        callers.shutdown()
        server.stop()
        log = server.log().query("status == 'completed'").sort_values("start_s")
    assert len(log) == 4
    assert (log["queue_s"].iloc[1:] > 0).all()
    assert (log["start_s"].iloc[1:].to_numpy() == log["finish_s"].iloc[:-1].to_numpy()).all()


def _check_log(log: pd.DataFrame, workers: int) -> None:
    done = log[log["status"] == "completed"]
    assert (done["arrival_s"] <= done["start_s"]).all()
    assert (done["start_s"] <= done["finish_s"]).all()
    steps = np.concatenate([np.ones(len(done)), -np.ones(len(done))])
    times = np.concatenate([done["start_s"], done["finish_s"]])
    assert np.cumsum(steps[np.lexsort((steps, times))]).max() <= workers


def test_a_full_line_refuses_and_a_slow_answer_times_out(echo: Path, tmp_path: Path) -> None:
    """Seconds pass only for the one who times out, so four of them are time enough for all others."""
    one, two = tmp_path / "one", tmp_path / "two"
    with artifacts.Server(echo, workers=1, queue_limit=1, timeout_s=4.0) as server, ThreadPoolExecutor(3) as callers:
        first = _hold(callers, server.url, one)
        (second,) = _fill(callers, server.url, f"until {two}", 1)
        one.touch()
        assert first.result().status == 200
        assert second.result().status == 504
        two.touch()
        assert _post(server.url, "after").data == b"after"
        server.stop()
        assert sorted(server.log()["status"]) == ["completed", "completed", "rejected", "timed_out"]


def test_who_runs_out_of_time_in_the_line_is_never_served(echo: Path, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    with artifacts.Server(echo, workers=1, queue_limit=5, timeout_s=2.0) as server, ThreadPoolExecutor(1) as callers:
        _hold(callers, server.url, flag)
        assert _post(server.url, "in the line").status == 504
        flag.touch()
        assert _post(server.url, "soon").status == 200
        server.stop()
        log = server.log()
    assert sorted(log["status"]) == ["completed", "timed_out", "timed_out"]
    assert log.query("status == 'timed_out'")["start_s"].isna().sum() == 1


def test_it_stops_when_everybody_inside_has_been_answered(echo: Path, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    server = artifacts.Server(echo, workers=1, queue_limit=9)
    with ThreadPoolExecutor(12) as callers:
        inside = _fill(callers, server.url, f"until {flag}", 10)
        stopping = callers.submit(server.stop)
        while "going down" not in (late := _post(server.url, "too late")).json()["message"]:
            time.sleep(0.01)
        assert late.status == 503
        flag.touch()
        assert [each.result().status for each in inside] == [200] * 10
        assert stopping.result() == 0
    with pytest.raises(urllib3.exceptions.HTTPError):
        _post(server.url, "gone")


# --- whatever callers send -------------------------------------------------------------------------------------------


def test_garbage_huge_bodies_and_slow_senders_keep_nobody_waiting(server: artifacts.Server) -> None:
    host, port = "127.0.0.1", int(server.url.rsplit(":", 1)[1])
    slow = [socket.create_connection((host, port)) for _ in range(20)]
    for sender in slow:
        sender.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nsome")
    for garbage in (b"\x00\xff" * 500, b"GET\r\n\r\n", b"POST / HTTP/9.9\r\nContent-Length: -5\r\n\r\n", b"\r\n" * 100):
        with socket.create_connection((host, port), timeout=120) as sender:
            sender.sendall(garbage)
            sender.shutdown(socket.SHUT_WR)
            while sender.recv(4096):
                pass
    assert _post(server.url, b"x" * 1_000_001).status == 413  # who waited for the slow ones would wait for ever
    assert _post(server.url, b"x" * 1_000_000).status == 200
    assert _post(server.url, "still there").data == b"still there"
    assert _post(server.url, "fail").status == 500
    assert _post(server.url, b"\xff\xfe").status == 500
    assert _post(server.url, "").data == b""
    for sender in slow:
        sender.close()


def test_more_connections_than_select_knows_keep_nobody_waiting(echo: Path) -> None:
    """Each is a file, and `select()` knows 1,024 of them: whoever listens with it fails for ever at the next."""
    resource = pytest.importorskip("resource", reason="Windows knows no such limit")
    usual, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = usual if usual < 0 else max(usual, 1400)
    if 0 <= most < wanted:
        pytest.skip("this process may not open 1,400 files, nor allow itself to")
    with contextlib.ExitStack() as idle:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
        idle.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (usual, most))
        server = idle.enter_context(artifacts.Server(echo, queue_limit=200))
        for _ in range(1100):
            address = ("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
            idle.enter_context(socket.create_connection(address)).sendall(b"POST /invocations HTTP/1.1\r\nHo")
        assert _post_anew(server.url, "still there") == b"still there"


def _post_anew(url: str, body: str) -> bytes:
    """By a connection of its own."""
    with urllib3.PoolManager(retries=False, timeout=120) as pool:
        return pool.request("POST", f"{url}/invocations", body=body).data


def test_what_the_code_prints_stops_nobody_and_can_be_read(echo: Path) -> None:
    """More than a pipe holds that nobody reads, 64 kB on most systems."""
    with artifacts.Server(echo) as server:
        for number in range(10):
            assert _post(server.url, f"say {number}" + 20_000 * ".").status == 200
        assert "say 9..." in server.printed()
        server.stop()
        assert len(server.printed()) > 200_000


def test_a_503_of_the_code_is_no_refusal(echo: Path) -> None:
    with artifacts.Server(echo) as server:
        assert _post(server.url, "no bytes").status == 503
        server.stop()
        assert list(server.log()["status"]) == ["failed"]
        assert server.log()["service_s"].notna().all()


def test_a_code_in_a_request_is_not_run(server: artifacts.Server) -> None:
    assert _post(server.url, "__import__('os')._exit(1)").data == b"__import__('os')._exit(1)"
    assert urllib3.request("GET", f"{server.url}/../../etc/passwd").status == 404


def test_what_cannot_be_served_is_said_in_a_sentence(tmp_path: Path) -> None:
    for name in (tmp_path / "none.tar.gz", "a\0b", "\ud800"):
        with pytest.raises(ParameterError, match="there is no file"):
            artifacts.Server(name)
    broken = artifacts.pack(None, tmp_path / "b.tar.gz", inference="import no_such_thing\n", requirements=["x"])
    with pytest.raises(ParameterError, match="no_such_thing"):
        artifacts.Server(broken.path)


def test_it_serves_inside_a_program_of_ones_own_too(echo: Path, tmp_path: Path) -> None:
    log = tmp_path / "access.jsonl"
    program = "import sys; from simlib import artifacts; artifacts.serve(*sys.argv[1:2], port=0, log=sys.argv[2], "
    program += "ready=lambda port: print(port, flush=True))"
    command = [sys.executable, "-c", program, str(echo), str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        port = int(running.stdout.readline())
        assert _post(f"http://127.0.0.1:{port}", "in a program").data == b"in a program"
        running.terminate()
        assert running.wait(120) == 0
    assert json.loads(log.read_text().splitlines()[0])["status"] == "completed"

"""The rules of the four functions, side by side with the toolkit that SageMaker's containers use."""

import importlib
import io
import itertools
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sagemaker_inference.transformer import Transformer

from simlib import artifacts
from simlib.artifacts.handlers import ANY, CSV, JSON, NPY, NPZ
from simlib.parameters import ParameterError

MODEL = "def model_fn(model_dir):\n    return 2.0\n"
DOUBLE = MODEL + "def predict_fn(data, model):\n    return data * model\n"

CODES = {
    "defaults around predict_fn": DOUBLE,
    "with context": "def model_fn(model_dir, context):\n    return 2.0\n"
    "def predict_fn(data, model, context):\n    return data * model\n",
    "own input_fn": DOUBLE + "def input_fn(body, content_type):\n    return len(body)\n",
    "own output_fn, a string": DOUBLE + "def output_fn(prediction, accept):\n    return 'answer ' + accept\n",
    "own output_fn, a pair": DOUBLE + "def output_fn(prediction, accept):\n    return 'a', 'text/plain'\n",
    "transform_fn": MODEL + "def transform_fn(model, data, content_type, accept):\n"
    "    return str(type(data).__name__) + str(content_type) + accept\n",
    "transform_fn, a pair": MODEL + "def transform_fn(model, data, content_type, accept, context):\n"
    "    return b'x', 'application/octet-stream'\n",
    "no predict_fn": MODEL,
    "a predict_fn that fails": MODEL + "def predict_fn(data, model):\n    raise ValueError('too bad')\n",
    "a predict_fn that sets the status": "from sagemaker_inference.errors import BaseInferenceToolkitError\n" + MODEL
    + "def predict_fn(data, model):\n    raise BaseInferenceToolkitError(422, 'too long', 'Too Long')\n",
    "a predict_fn that fails without a word": MODEL + "def predict_fn(data, model):\n    raise ValueError\n",
    "a status_code that is not the toolkit's": MODEL
    + "class Mine(ValueError):\n    status_code, message = 422, 'mine'\n"
    + "def predict_fn(data, model):\n    raise Mine('too bad')\n",
    "before and after the model": "seen = []\ndef pre_model_fn(model_dir):\n    seen.append('pre')\n" + MODEL
    + "def model_warmup_fn(model_dir, model):\n    seen.append(model)\n"
    + "def predict_fn(data, model):\n    return seen\n",
    "a folder from the context": "def model_fn(model_dir, context):\n"
    + "    return str(model_dir) == context.system_properties.get('model_dir')\n"
    + "def predict_fn(data, model):\n    return model\n",
    "one that is beside": "def model_fn(model_dir):\n    import beside\n    return beside.FACTOR\n"
    + "def predict_fn(data, model):\n    return data * model\n",
    "a triple": DOUBLE + "def output_fn(prediction, accept):\n    return 'a', 'text/plain', 'c'\n",
    "too many arguments": MODEL + "def predict_fn(data, model, context, more):\n    return data\n",
    "a prediction of a list": MODEL + "def predict_fn(data, model):\n    return [1, 2.5]\n",
    "a prediction of an object": MODEL + "def predict_fn(data, model):\n    return object()\n",
}  # fmt: skip


def _npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _npz() -> bytes:
    from scipy.sparse import csr_matrix, save_npz

    buffer = io.BytesIO()
    save_npz(buffer, csr_matrix(np.eye(2)))
    return buffer.getvalue()


BODIES = {
    JSON: [b"[[1, 2], [3, 4]]", b"7", b"{}", b"[1, ", b"\xff\xfe"],
    CSV: [b"1,2\n3,4\n", b"5.5", b"", b"a,b\n1,2\n", b"\xff\xfe"],
    NPY: [_npy(np.arange(4.0)), b"not numpy"],
    NPZ: [_npz()],
    "application/x-unknown": [b"what"],
    "application/json; charset=utf-8": [b"[1]"],
    None: [b"[1]"],
}
ACCEPTS = [None, "", ANY, JSON, CSV, NPY, "text/html", "text/html, application/json", "text/csv,application/json"]


class _Request:
    """What the toolkit wants of the model server around it."""

    def __init__(self, folder: Path, content_type: str | None, accept: str | None) -> None:
        headers = {"Content-Type": content_type, "Accept": accept}
        self.system_properties = {"model_dir": str(folder)}
        known = {name: value for name, value in headers.items() if value is not None}
        self.request_processor = [SimpleNamespace(get_request_properties=lambda: known)]
        self.status, self.content_type = 200, None

    def set_response_content_type(self, _: int, content_type: str) -> None:
        self.content_type = content_type

    def set_response_status(self, code: int, phrase: str) -> None:
        self.status = int(code)


def _toolkit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(folder / "code"))
    monkeypatch.setenv("SAGEMAKER_PROGRAM", "inference.py")
    sys.modules.pop("inference", None)
    importlib.invalidate_caches()
    transformer = Transformer()

    def answer(body: bytes, content_type: str | None, accept: str | None) -> tuple[int, bytes, str | None]:
        context = _Request(folder, content_type, accept)
        found = transformer.transform([{"body": body}], context)[0]
        return context.status, found.encode() if isinstance(found, str) else found, context.content_type

    return answer


@pytest.mark.parametrize("name", CODES)
def test_each_answer_is_the_toolkits(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Status, body and type; of an error what the artifact's code and Python say, not what the toolkit itself says."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "inference.py").write_text(CODES[name])
    (tmp_path / "code" / "beside.py").write_text("FACTOR = 3.0\n")
    ours, theirs = artifacts.load(tmp_path), _toolkit(tmp_path, monkeypatch)
    statuses = set()
    for content_type, accept in itertools.product(BODIES, ACCEPTS):
        for body in BODIES[content_type]:
            status, content, kind = theirs(body, content_type, accept)
            found = ours.answer(body, content_type, accept)
            case = (content_type, accept, body)
            assert found.status == status, (case, found.body, content)
            statuses.add(status)
            if status == 200:
                assert (found.body, found.content_type) == (content, kind), case
            elif content_type == JSON and b"Content type" not in content and b"Please provide" not in content:
                assert found.body.split(b"\n")[0] == content.split(b"\n")[0], case
    assert statuses


def test_the_table_has_answers_and_errors(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "inference.py").write_text(DOUBLE)
    handler = artifacts.load(tmp_path)
    assert handler.answer(b"[[1, 2]]", JSON) == artifacts.Answer(200, b"[[2.0, 4.0]]", JSON)
    assert handler.answer(b"1,2\n", CSV, CSV).body == b"2.0\n4.0\n"
    assert handler.answer(b"what", "application/x-unknown").status == 500


def test_an_npy_body_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where we differ from the toolkit on purpose: it unpickles what a caller sends."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "inference.py").write_text(DOUBLE)
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (marker,)

    buffer = io.BytesIO()
    np.save(buffer, np.array([Evil()], dtype=object), allow_pickle=True)
    assert artifacts.load(tmp_path).answer(buffer.getvalue(), NPY).status == 500
    assert not marker.exists()
    _toolkit(tmp_path, monkeypatch)(buffer.getvalue(), NPY, JSON)
    assert marker.exists()


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (
            DOUBLE + "def transform_fn(model, data, content_type, accept):\n    return ''\n",
            "transform_fn does all of",
        ),
        ("import a_package_that_is_not_there\n", "needs 'a_package_that_is_not_there'"),
        ("def model_fn(model_dir):\n    raise OSError('no weights')\n", "OSError: no weights"),
        ("def predict_fn(data, model):\n    return data\n", "Please provide a model_fn implementation"),
        ("this is no Python\n", "SyntaxError"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
        (MODEL + "predict_fn = 3\n", "predict_fn=3 in inference.py should be a function"),
    ],
)
def test_code_that_cannot_serve_is_refused_with_a_sentence(code: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "inference.py").write_text(code)
    with pytest.raises(ParameterError) as error:
        artifacts.load(tmp_path)
    assert sentence in str(error.value)


def test_the_accepted_type_is_the_containers_where_nobody_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "inference.py").write_text(DOUBLE)
    monkeypatch.setenv("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", CSV)
    ours, theirs = artifacts.load(tmp_path), _toolkit(tmp_path, monkeypatch)
    for accept in (None, ANY, JSON):
        assert ours.answer(b"[1]", JSON, accept) == theirs(b"[1]", JSON, accept)


# What nobody should write, and what comes of it: as with the server around the toolkit, and the worker lives on.
ODD = {
    "return {'a': [1.5]}": (200, b'{\n  "a": [\n    1.5\n  ]\n}'),
    "return None": (200, b"null"),
    "return {1, 2}": (503, b"an answer of type set cannot be sent"),
    "import numpy; return numpy.ones(2)": (503, b"an answer of type ndarray cannot be sent"),
    "return ()": (500, b"tuple index out of range"),
    "return '\\ud800'": (500, b"'utf-8' codec can't encode"),
    "return 'a', None": (500, b"a content type of None is not possible"),
    "return 'a', 'b\\r\\nc: d'": (500, b"a content type of 'b\\r\\nc: d' is not possible"),
    "import sys; sys.exit(3)": (500, b"3\nTraceback"),
    "raise GeneratorExit": (500, b"Invalid Request"),
    "raise type('Mute', (Exception,), {'__str__': None})()": (500, b"\nTraceback"),
    "raise type('BaseInferenceToolkitError', (Exception,), {'status_code': None, 'message': 'a'})": (500, b"a\n"),
    "raise type('BaseInferenceToolkitError', (Exception,), {'status_code': 99, 'message': 'a'})": (500, b"a\n"),
}


@pytest.mark.parametrize("body", ODD)
def test_whatever_the_code_does_there_is_an_answer(body: str, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "inference.py").write_text(
        MODEL + f"def transform_fn(model, data, kind, accept):\n    {body}\n"
    )
    status, begin = ODD[body]
    found = artifacts.load(tmp_path).answer(b"[1]", JSON)
    assert (found.status, found.body[: len(begin)]) == (status, begin)


def test_artifacts_do_not_get_into_each_others_way(tmp_path: Path) -> None:
    handlers = []
    for factor in (2, 3):
        code = tmp_path / str(factor) / "code"
        code.mkdir(parents=True)
        (code / "helper_of_mine.py").write_text(f"FACTOR = {factor}\n")
        (code / "inference.py").write_text(
            "from helper_of_mine import FACTOR\n" + MODEL + "def predict_fn(data, model):\n    return data * FACTOR\n"
        )
        handlers.append(artifacts.load(code.parent))
    assert [json.loads(handler.answer(b"[1]", JSON).body) for handler in handlers] == [[2], [3]]

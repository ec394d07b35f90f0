"""From the code in an artifact to answers: which functions are called, with what, and what comes back.

The rules are those of the SageMaker inference toolkit (1.10), and a test holds them side by side:

- `model_fn(model_dir)` loads the model, once; before it comes `pre_model_fn(model_dir)`, and after it
  `model_warmup_fn(model_dir, model)`, where there are such.
- `input_fn(body, content_type)`, `predict_fn(data, model)` and `output_fn(prediction, accept)` answer a request; the
  first and the last have defaults for JSON, CSV and NPY.  `transform_fn(model, body, content_type, accept)` stands in
  place of all three, and beside any of them it is an error.
- Each may take one argument more: the context.
- The body is text for JSON and CSV, else bytes.  No Accept header, or `*/*`, is `application/json`.
- Whatever is raised is a 500, an unsupported content type too; only a `BaseInferenceToolkitError` sets another status
  (it is known by its name, for the toolkit need not be installed here).
- What is neither bytes nor text is written as JSON by the server around the toolkit (Multi Model Server,
  `create_predict_response`), and is a 503 where that cannot be.

Two rules differ on purpose.  An NPY body may not hold pickled objects, so that no code from a request is run.  And
functions that do not go together are told when the artifact is loaded, not at each request.
"""

import importlib.util
import inspect
import io
import itertools
import json
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from simlib.parameters import ParameterError, checked, shortly

JSON, CSV, NPY, NPZ, ANY = "application/json", "text/csv", "application/x-npy", "application/x-npz", "*/*"
TEXT = (JSON, CSV)
DEFAULT_ACCEPT = "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT"  # the toolkit's environment variable
BESIDE_TRANSFORM = ("input_fn", "predict_fn", "output_fn")
FUNCTIONS = ("pre_model_fn", "model_fn", "model_warmup_fn", *BESIDE_TRANSFORM, "transform_fn")

_numbers = itertools.count()  # modules of different artifacts do not get into each other's way


class Answer(NamedTuple):
    """What goes back to the caller."""

    status: int
    body: bytes
    content_type: str


class UnsupportedFormat(ValueError):
    """A content type that the defaults can neither read nor write."""

    def __init__(self, content_type: str | None) -> None:
        super().__init__(
            f"Content type {content_type} is not supported: write an input_fn that reads it, or an output_fn that "
            "writes it."
        )


@dataclass(frozen=True)
class Context:
    """What a function that takes one argument more is told: as the toolkit's, of the server and not of the request."""

    system_properties: dict[str, Any]


class Handler:
    """The functions of an unpacked artifact, and the model that they have loaded."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._context = Context({"model_dir": str(self.folder), "gpu_id": None})
        self._accept = os.environ.get(DEFAULT_ACCEPT, JSON)
        with importable(self.folder):
            self._functions = _functions(_module(self.folder))
            self._call_if_there("pre_model_fn", str(self.folder))
            self.model = self._call("model_fn", str(self.folder))
            self._call_if_there("model_warmup_fn", str(self.folder), self.model)

    def answer(self, body: bytes, content_type: str | None = None, accept: str | None = None) -> Answer:
        """Answer one request; never raises."""
        accept = self._accept if not accept or accept == ANY else accept
        try:
            data = body.decode("utf-8") if content_type in TEXT else body
            if "transform_fn" in self._functions:
                result = self._call("transform_fn", self.model, data, content_type, accept)
            else:
                rows = self._call("input_fn", data, content_type)
                result = self._call("output_fn", self._call("predict_fn", rows, self.model), accept)
            return _written(result, accept)
        except BaseException as error:  # whatever the artifact's code does, sys.exit() too: the worker lives on
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise  # somebody at the keyboard
            return _failure(error)

    def _call(self, name: str, *values: Any) -> Any:
        if name not in self._functions:
            raise NotImplementedError(f"Please provide a {name} implementation.")
        function = self._functions[name]
        takes = len(inspect.signature(function).parameters)
        if takes not in (len(values), len(values) + 1):
            raise TypeError(f"{name} takes {takes} arguments but {len(values)} were given.")
        return function(*values, *[self._context][: takes - len(values)])

    def _call_if_there(self, name: str, *values: Any) -> None:
        if name in self._functions:
            self._call(name, *values)


@checked
def load(folder: str | Path) -> Handler:
    """The handler of an unpacked artifact; this runs its code, so only load what you trust.

    Raises
    ------
    ParameterError
        If there is no `code/inference.py`, it cannot be imported, or its functions do not go together.
    """
    try:
        return Handler(folder)
    except ParameterError:
        raise
    except (Exception, SystemExit) as error:  # whatever the artifact's code does
        raise ParameterError(f"load: the model cannot be loaded: {type(error).__name__}: {error}") from error


# --- the artifact's code ---------------------------------------------------------------------------------------------


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Let the artifact's code import what lies beside it, and forget that afterwards.

    Another artifact may have a module of the same name.
    """
    code = str(folder / "code")
    if code in sys.path:
        yield
        return
    sys.path.insert(0, code)
    try:
        yield
    finally:
        sys.path.remove(code)
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(code + os.sep):
                del sys.modules[name]


def _module(folder: Path) -> ModuleType:
    path = folder / "code" / "inference.py"
    if not path.is_file():
        raise ParameterError(f"load: there is no {path.name} in {str(path.parent)!r}: it is no unpacked artifact.")
    spec = importlib.util.spec_from_file_location(f"simlib_artifact_{next(_numbers)}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        raise ParameterError(
            f"load: inference.py needs {error.name!r}, which is not installed here: {error}; "
            "requirements.txt says what a container would install."
        ) from error
    return module


def _functions(module: ModuleType) -> dict[str, Callable[..., Any]]:
    found = {name: getattr(module, name) for name in FUNCTIONS if getattr(module, name, None) is not None}
    for name, function in found.items():
        if not callable(function):
            raise ParameterError(f"load: {name}={shortly(function)} in inference.py should be a function.")
    beside = [name for name in BESIDE_TRANSFORM if name in found]
    if "transform_fn" in found and beside:
        raise ParameterError(f"load: transform_fn does all of a request, so {beside[0]} cannot stand beside it.")
    return {"input_fn": decode, "output_fn": encode} | found


# --- what comes of a request -----------------------------------------------------------------------------------------


def _written(result: Any, accept: str) -> Answer:
    """The answer that a function gave: a body, or a pair of body and content type."""
    content, kind = (result[0], result[1]) if isinstance(result, tuple) else (result, accept)
    if not isinstance(kind, str) or not re.fullmatch(r"[\x20-\x7e\xa0-\xff]+", kind):
        raise TypeError(f"a content type of {shortly(kind)} is not possible: it should be like {JSON!r}.")
    if isinstance(content, bytes | bytearray):
        return Answer(200, bytes(content), kind)
    if isinstance(content, str):
        return Answer(200, content.encode(), kind)
    try:
        return Answer(200, json.dumps(content, indent=2).encode(), kind)
    except TypeError:
        sentence = f"an answer of type {type(content).__name__} cannot be sent: output_fn should give text or bytes.\n"
        return Answer(503, sentence.encode(), "text/plain")


def _failure(error: BaseException) -> Answer:
    status, message = 500, ""
    try:
        of_the_toolkit = "BaseInferenceToolkitError" in (kind.__name__ for kind in type(error).__mro__)
        message = str(error.message if of_the_toolkit else error) or "Invalid Request"  # type: ignore[attr-defined]
        asked = error.status_code if of_the_toolkit else 500  # type: ignore[attr-defined]
        status = int(asked) if 200 <= int(asked) <= 599 else 500  # others are none in HTTP
    except Exception:  # an exception that cannot even say what it is: its traceback can
        pass
    body = f"{message}\n{''.join(traceback.format_exception(error))}"
    return Answer(status, body.encode(errors="backslashreplace"), "text/plain")


# --- the defaults ----------------------------------------------------------------------------------------------------


def decode(body: str | bytes, content_type: str | None) -> Any:
    """An array from a request's body; one row of CSV is one-dimensional, as numpy reads it."""
    if content_type == JSON:
        return np.array(json.loads(body))
    if content_type == CSV:
        return np.genfromtxt(io.StringIO(str(body)), delimiter=",", dtype=None)
    if content_type == NPY:
        return np.load(io.BytesIO(bytes(body)), allow_pickle=False)  # type: ignore[arg-type]
    if content_type == NPZ:
        from scipy.sparse import load_npz

        return load_npz(io.BytesIO(bytes(body)))  # type: ignore[arg-type]
    raise UnsupportedFormat(content_type)


def encode(prediction: Any, accept: str) -> tuple[bytes, str]:
    """The prediction in the first form of *accept* that can be written."""
    for kind in _accepted(accept):
        if kind in _WRITERS:
            return _WRITERS[kind](prediction), kind
    raise UnsupportedFormat(accept)


def _accepted(accept: str) -> Iterable[str]:
    return accept.replace(" ", "").split(",")


def _json(prediction: Any) -> bytes:
    return json.dumps(prediction, default=_listed).encode()


def _listed(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else json.JSONEncoder().default(value)


def _csv(prediction: Any) -> bytes:
    stream = io.StringIO()
    np.savetxt(stream, prediction, delimiter=",", fmt="%s")
    return stream.getvalue().encode()


def _npy(prediction: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, prediction)
    return buffer.getvalue()


_WRITERS: dict[str, Callable[[Any], bytes]] = {JSON: _json, CSV: _csv, NPY: _npy}

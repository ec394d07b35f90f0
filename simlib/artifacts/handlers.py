"""From the code in an artifact to answers: which functions are called, with what, and what comes back.

The rules are those of the SageMaker inference toolkit (1.10), and a test holds them side by side:

- `model_fn(model_dir)` loads the model, once.
- `input_fn(body, content_type)`, `predict_fn(data, model)` and `output_fn(prediction, accept)` answer a request; the
  first and the last have defaults for JSON, CSV and NPY.  `transform_fn(model, body, content_type, accept)` stands in
  place of all three, and beside any of them it is an error.
- Each may take one argument more: the context.
- The body is text for JSON and CSV, else bytes.  No Accept header, or `*/*`, is `application/json`.
- Whatever is raised is a 500, an unsupported content type too; an exception with a `status_code` sets another.

One rule differs on purpose: an NPY body may not hold pickled objects, so that no code from a request is run.
"""

import importlib.util
import inspect
import io
import itertools
import json
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from simlib.parameters import ParameterError, checked

JSON, CSV, NPY, NPZ, ANY = "application/json", "text/csv", "application/x-npy", "application/x-npz", "*/*"
TEXT = (JSON, CSV)
FUNCTIONS = {"model_fn": 1, "input_fn": 2, "predict_fn": 2, "output_fn": 2, "transform_fn": 4}

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
    """What a function that takes one argument more is told."""

    model_dir: str


class Handler:
    """The functions of an unpacked artifact, and the model that they have loaded."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._context = Context(str(self.folder))
        self._functions = _functions(_module(self.folder))
        self.model = self._call("model_fn", str(self.folder))

    def answer(self, body: bytes, content_type: str | None = None, accept: str | None = None) -> Answer:
        """Answer one request; never raises."""
        accept = JSON if not accept or accept == ANY else accept
        try:
            data = body.decode("utf-8") if content_type in TEXT else body
            if "transform_fn" in self._functions:
                result = self._call("transform_fn", self.model, data, content_type, accept)
            else:
                rows = self._call("input_fn", data, content_type)
                result = self._call("output_fn", self._call("predict_fn", rows, self.model), accept)
        except Exception as error:  # whatever the artifact's code does
            return _failure(error)
        content, kind = result if isinstance(result, tuple) else (result, accept)
        return Answer(200, content.encode() if isinstance(content, str) else bytes(content), kind)

    def _call(self, name: str, *values: Any) -> Any:
        if name not in self._functions:
            raise NotImplementedError(f"Please provide a {name} implementation.")
        function = self._functions[name]
        takes = len(inspect.signature(function).parameters)
        if takes not in (len(values), len(values) + 1):
            raise TypeError(f"{name} takes {takes} arguments but {len(values)} were given.")
        return function(*values, *[self._context][: takes - len(values)])


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
    except Exception as error:  # whatever the artifact's code does
        raise ParameterError(f"load: the model cannot be loaded: {type(error).__name__}: {error}") from error


# --- the artifact's code ---------------------------------------------------------------------------------------------


def _module(folder: Path) -> ModuleType:
    path = folder / "code" / "inference.py"
    if not path.is_file():
        raise ParameterError(f"load: there is no {path.name} in {str(path.parent)!r}: it is no unpacked artifact.")
    spec = importlib.util.spec_from_file_location(f"simlib_artifact_{next(_numbers)}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))  # it may import what lies beside it
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        raise ParameterError(
            f"load: inference.py needs {error.name!r}, which is not installed here: {error}; "
            "requirements.txt says what a container would install."
        ) from error
    finally:
        sys.path.remove(str(path.parent))
    return module


def _functions(module: ModuleType) -> dict[str, Callable[..., Any]]:
    found = {name: getattr(module, name) for name in FUNCTIONS if getattr(module, name, None) is not None}
    beside = [name for name in ("input_fn", "predict_fn", "output_fn") if name in found]
    if "transform_fn" in found and beside:
        raise ParameterError(f"load: transform_fn does all of a request, so {beside[0]} cannot stand beside it.")
    return {"input_fn": decode, "output_fn": encode} | found


def _failure(error: Exception) -> Answer:
    status = getattr(error, "status_code", 500)
    message = getattr(error, "message", None) or str(error)
    return Answer(int(status), f"{message}\n{''.join(traceback.format_exception(error))}".encode(), "text/plain")


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
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _csv(prediction: Any) -> bytes:
    stream = io.StringIO()
    np.savetxt(stream, prediction, delimiter=",", fmt="%s")
    return stream.getvalue().encode()


def _npy(prediction: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, prediction)
    return buffer.getvalue()


_WRITERS: dict[str, Callable[[Any], bytes]] = {JSON: _json, CSV: _csv, NPY: _npy}

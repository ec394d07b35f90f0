"""The model artifact: one `model.tar.gz` with the weights, the code that serves them, and what it needs.

    model.pkl               the weights: a fitted model, as joblib writes it
    code/inference.py       the functions that turn a request into an answer (see `handlers`)
    code/requirements.txt   what to install beside them
    manifest.json           name, versions, and the hash of every file

The same model packs to the same bytes on one machine, so that its hash names a version.
"""

import gzip
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import SkipValidation

from simlib.artifacts import unpacking
from simlib.mlops.registry import ModelVersion, Registry
from simlib.parameters import ParameterError, Text, checked

WEIGHTS, CODE, REQUIREMENTS, MANIFEST = "model.pkl", "code/inference.py", "code/requirements.txt", "manifest.json"

INFERENCE = '''"""From a request to an answer: the four functions that a SageMaker container looks for."""

import json
from pathlib import Path

import joblib
import numpy as np


def model_fn(model_dir):
    """Load the weights, once, when the server starts."""
    return joblib.load(Path(model_dir) / "model.pkl")


def input_fn(body, content_type):
    """From bytes or text to what the model understands: rows of numbers."""
    if content_type == "application/json":
        return np.atleast_2d(np.array(json.loads(body), dtype=float))
    if content_type == "text/csv":
        return np.atleast_2d(np.genfromtxt(body.splitlines(), delimiter=","))
    raise ValueError(f"this model reads application/json or text/csv, not {content_type}")


def predict_fn(rows, model):
    """Ask the model."""
    return model.predict(rows)


def output_fn(predictions, accept):
    """From predictions to the text that the caller accepts."""
    return json.dumps(predictions.tolist()), "application/json"
'''


@dataclass(frozen=True)
class Artifact:
    """A packed model: where it lies, and what names it.

    Attributes
    ----------
    path : Path
        The `model.tar.gz`.
    sha256 : str
        Hash of the file; two artifacts with the same hash are the same.
    size_mb : float
        Size of the file [MB].
    manifest : mapping
        What `manifest.json` says; empty in an artifact that others packed without one.
    files : DataFrame
        One row a file: name, size_kb.
    """

    path: Path
    sha256: str
    size_mb: float
    manifest: Mapping[str, Any]
    files: pd.DataFrame

    def register(self, registry: Registry, group: str, **more: Any) -> ModelVersion:
        """The next version of *group* in the registry: this file, its hash, and *more* (metrics, by, …)."""
        parameters = {"training_parameters": self.manifest.get("parameters", {})} | more
        return registry.register(group, artifact=self.path, sha256=self.sha256, **parameters)


@checked
def pack(
    model: SkipValidation[Any],
    path: str | Path,
    *,
    name: Text = "model",
    inference: str | Path = INFERENCE,
    requirements: Sequence[str] = (),
    extra: SkipValidation[Mapping[str, bytes | str | Path]] | None = None,
) -> Artifact:
    """Write a fitted *model* and the code that serves it to *path*, whole or not at all.

    Parameters
    ----------
    model : object
        A fitted model; joblib writes it.
    path : str or Path
        Where to; its name should end in `.tar.gz`.
    name : str
        What to call it in the manifest.
    inference : str or Path
        The text of `inference.py`, or a path to it.
    requirements : sequence of str
        Lines of `requirements.txt`; by default the scikit-learn of this environment, if the model is of it.
    extra : mapping of name to bytes, text or path
        Further files.

    Raises
    ------
    ParameterError
        If the path does not end in `.tar.gz`, its folder does not exist, the model cannot be written, or a name leads
        out of the artifact.
    """
    path = Path(path)
    if not path.name.endswith(".tar.gz"):
        raise ParameterError(f"pack: path={str(path)!r} is not possible: its name should end in .tar.gz.")
    if not path.parent.is_dir():
        raise ParameterError(f"pack: there is no folder {str(path.parent)!r} to write to.")
    lines = list(requirements) or _needs(model)
    files = {
        WEIGHTS: _weights(model),
        CODE: _content(inference, code=True),
        REQUIREMENTS: "".join(f"{line}\n" for line in lines).encode(),
        **{each: _content(content) for each, content in (extra or {}).items()},
    }
    for each in files:
        unpacking.check_name(each, "pack")
    files[MANIFEST] = json.dumps(_manifest(name, model, files), indent=2, sort_keys=True).encode()
    unpacking.write_whole(path, _packed(files))
    return inspect(path)


@checked
def inspect(path: str | Path) -> Artifact:
    """What is in the artifact at *path*; nothing of it is unpacked or run.

    Raises
    ------
    ParameterError
        If it is no artifact: not a gzipped tar, names that lead out of it, links, too large, no `inference.py`.
    """
    path = Path(path)
    contents = unpacking.read(path)
    files = pd.DataFrame({"size_kb": {name: len(data) / 1000 for name, data in contents.items()}})
    files.index.name = "name"
    manifest = unpacking.manifest_of(contents)
    return Artifact(path, hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size / 1e6, manifest, files)


# --- parts -----------------------------------------------------------------------------------------------------------


def _weights(model: Any) -> bytes:
    import joblib

    buffer = io.BytesIO()
    try:
        joblib.dump(model, buffer)
    except Exception as error:  # whatever a foreign __reduce__ raises
        raise ParameterError(f"pack: the model, a {type(model).__name__}, cannot be written: {error}.") from None
    return buffer.getvalue()


def _content(content: bytes | str | Path, *, code: bool = False) -> bytes:
    if isinstance(content, Path) or (code and isinstance(content, str) and "\n" not in content):
        try:
            return Path(content).read_bytes()
        except OSError as error:
            raise ParameterError(f"pack: {str(content)!r} cannot be read: {error.strerror}.") from None
    return content.encode() if isinstance(content, str) else content


def _needs(model: Any) -> list[str]:
    package = type(model).__module__.partition(".")[0]
    if package != "sklearn":
        return []
    from sklearn import __version__

    return [f"scikit-learn=={__version__}"]


def _manifest(name: str, model: Any, files: Mapping[str, bytes]) -> dict[str, Any]:
    get_params = getattr(model, "get_params", None)
    parameters = {key: repr(value) for key, value in get_params(deep=False).items()} if callable(get_params) else {}
    return {
        "name": name,
        "model": f"{type(model).__module__}.{type(model).__qualname__}",
        "parameters": parameters,
        "python": ".".join(map(str, sys.version_info[:3])),
        "files": {each: hashlib.sha256(data).hexdigest() for each, data in files.items()},
    }


def _packed(files: Mapping[str, bytes]) -> bytes:
    """A gzipped tar without times, owners or chance order."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(files[name]), 0o644
            tar.addfile(member, io.BytesIO(files[name]))
    return buffer.getvalue()

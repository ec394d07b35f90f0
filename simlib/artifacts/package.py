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
from typing import Annotated, Any

import pandas as pd
from pydantic import AfterValidator, SkipValidation

from simlib.artifacts import unpacking
from simlib.mlops.registry import ModelVersion, Registry
from simlib.parameters import ParameterError, Text, checked, shortly

WEIGHTS, CODE, REQUIREMENTS, MANIFEST = "model.pkl", "code/inference.py", "code/requirements.txt", "manifest.json"


def _one_line(text: str) -> str:
    if "\n" in text or "\r" in text:
        raise ValueError(f"requirements names {shortly(text)}: it should be a list with one line for each package.")
    return text


Line = Annotated[str, AfterValidator(_one_line)]

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
        if not isinstance(registry, Registry):
            raise ParameterError(f"register: registry={shortly(registry)} is not possible: it should be a Registry.")
        parameters = {"training_parameters": self.manifest.get("parameters", {})} | more
        return registry.register(group, artifact=self.path, sha256=self.sha256, **parameters)


@checked
def pack(
    model: SkipValidation[Any],
    path: str | Path,
    *,
    name: Text = "model",
    inference: str | Path = INFERENCE,
    requirements: Sequence[Line] = (),
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
        Further files; the four above are not among them.

    Raises
    ------
    ParameterError
        If the path does not end in `.tar.gz` or cannot be written, the model cannot be, or the archive would be one
        that `inspect` refuses: a name that leads out of it, one name twice, too large.
    """
    path = Path(path)
    if not path.name.endswith(".tar.gz"):
        raise ParameterError(f"pack: path={str(path)!r} is not possible: its name should end in .tar.gz.")
    if not path.parent.is_dir():
        raise ParameterError(f"pack: there is no folder {str(path.parent)!r} to write to.")
    lines = list(requirements) or _needs(model)
    files = {
        WEIGHTS: _weights(model),
        CODE: _content("inference", inference, code=True),
        REQUIREMENTS: _content("requirements", "".join(f"{line}\n" for line in lines)),
        **_further({} if extra is None else extra),
    }
    files[MANIFEST] = json.dumps(_manifest(name, model, files), indent=2, sort_keys=True).encode()
    packed = _packed(files)
    unpacking.contents_of(io.BytesIO(packed), path.name)  # what would be refused is not written
    unpacking.write_whole(path, packed)
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


def _content(parameter: str, content: bytes | str | Path, *, code: bool = False) -> bytes:
    """The bytes of what may be given as such, as text, or as a path to it."""
    try:
        if isinstance(content, Path) or (code and isinstance(content, str) and "\n" not in content):
            return Path(content).read_bytes()
        return content.encode() if isinstance(content, str) else content
    except UnicodeEncodeError:
        raise ParameterError(f"pack: {parameter}={shortly(content)} cannot be written as UTF-8.") from None
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = error.strerror if isinstance(error, OSError) else error
        raise ParameterError(f"pack: {parameter}={str(content)!r} cannot be read: {reason}.") from None


def _further(extra: Any) -> dict[str, bytes]:
    """The files that the user adds, by name."""
    if not isinstance(extra, Mapping):
        raise ParameterError(f"pack: extra={shortly(extra)} is not possible: it should be like {{'data.txt': 'text'}}.")
    for name, content in extra.items():
        if not isinstance(name, str):
            raise ParameterError(f"pack: extra names a file {shortly(name)}: a name should be text.")
        unpacking.check_name(name, "pack")
        if name.lower() in (WEIGHTS, CODE, REQUIREMENTS, MANIFEST):
            raise ParameterError(f"pack: extra={{{name!r}: …}} is not possible: pack writes that file itself.")
        if not isinstance(content, bytes | str | Path):
            raise ParameterError(
                f"pack: extra={{{name!r}: {shortly(content)}}} is not possible: it should be bytes, text or a Path."
            )
    return {name: _content(f"extra[{name!r}]", content) for name, content in extra.items()}


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

"""Model artifacts: the same model packs to the same bytes, others can open it, and hostile archives write nothing."""

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from simlib import artifacts, mlops
from simlib.parameters import ParameterError

ROWS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
MODEL = LogisticRegression().fit(ROWS, [0, 0, 1, 1])


def _packed(folder: Path, **options: Any) -> artifacts.Artifact:
    return artifacts.pack(MODEL, folder / "model.tar.gz", name="gate", **options)


def test_the_same_model_packs_to_the_same_bytes(tmp_path: Path) -> None:
    one = _packed(tmp_path)
    two = artifacts.pack(LogisticRegression().fit(ROWS, [0, 0, 1, 1]), tmp_path / "again.tar.gz", name="gate")
    assert one.path.read_bytes() == two.path.read_bytes()
    assert one.sha256 == two.sha256 == hashlib.sha256(one.path.read_bytes()).hexdigest()
    assert artifacts.pack(LogisticRegression(C=2.0).fit(ROWS, [0, 0, 1, 1]), one.path).sha256 != two.sha256


def test_other_tools_open_it(tmp_path: Path) -> None:
    packed = _packed(tmp_path, requirements=["scikit-learn==1.9.1"], extra={"code/words.txt": "sí"})
    with tarfile.open(packed.path) as tar:
        assert sorted(tar.getnames()) == sorted(packed.files.index)
        weights = tar.extractfile("model.pkl")
        assert weights is not None
        assert (joblib.load(io.BytesIO(weights.read())).coef_ == MODEL.coef_).all()
        manifest = json.loads(tar.extractfile("manifest.json").read())  # type: ignore[union-attr]
        for name, said in manifest["files"].items():
            assert hashlib.sha256(tar.extractfile(name).read()).hexdigest() == said  # type: ignore[union-attr]
    assert manifest["model"] == "sklearn.linear_model._logistic.LogisticRegression"
    assert set(manifest["files"]) == set(packed.files.index) - {"manifest.json"}


def test_what_is_unpacked_is_what_was_packed(tmp_path: Path) -> None:
    packed = _packed(tmp_path, extra={"data/labels.txt": "no\nyes\n"})
    folder = artifacts.unpack(packed.path, tmp_path / "model")
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert set(found) == set(packed.files.index)
    assert found["data/labels.txt"] == b"no\nyes\n"
    assert found["code/inference.py"].decode() == artifacts.INFERENCE
    assert found["code/requirements.txt"].startswith(b"scikit-learn==")


def test_a_version_in_the_registry_names_the_file_by_its_hash(tmp_path: Path) -> None:
    packed = _packed(tmp_path)
    registry = mlops.Registry(tmp_path / "registry.db")
    version = packed.register(registry, "gates", metrics={"accuracy": 1.0})
    assert (version.version, version.sha256) == (1, packed.sha256)
    assert version.training_parameters["C"] == "1.0"


def test_what_another_tool_packs_is_opened(tmp_path: Path) -> None:
    """As `tar -czf model.tar.gz .` writes it, in each format: with an entry for the folder itself."""
    folder = artifacts.unpack(_packed(tmp_path).path, tmp_path / "model")
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "theirs.tar.gz", "w:gz", format=form) as tar:
            tar.add(folder, ".")
            assert "." in tar.getnames()
        again = artifacts.unpack(tmp_path / "theirs.tar.gz", tmp_path / f"again-{form}")
        assert (again / "model.pkl").read_bytes() == (folder / "model.pkl").read_bytes()


def test_inspect_sees_a_file_that_was_changed(tmp_path: Path) -> None:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(_with_manifest({"code/inference.py": "0" * 64}))
    with pytest.raises(ParameterError, match="its hash differs"):
        artifacts.inspect(path)


# --- what is refused -------------------------------------------------------------------------------------------------

INFERENCE = ("code/inference.py", b"def model_fn(model_dir):\n    return 0\n")


def _tar(*members: tuple[str | tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if info.isfile():
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


MANIFEST = (
    "manifest.json",
    json.dumps({"files": {INFERENCE[0]: hashlib.sha256(INFERENCE[1]).hexdigest()}}).encode(),
)


def _sparse() -> bytes:
    """Half a kilobyte that says it is 64 GB of zeros (the form of GNU tar 1.29, in pax headers)."""
    info = tarfile.TarInfo("weights")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 36)}
    return _tar(INFERENCE, (info, b"1\n0\n1\n".ljust(512, b"\0") + b"x"))


def _eight_exabytes() -> bytes:
    info = tarfile.TarInfo("weights")
    info.pax_headers = {"size": str(1 << 63)}
    return _tar(INFERENCE, (info, b"x"))


def _special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def _with_manifest(files: object) -> bytes:
    return _tar(INFERENCE, ("manifest.json", json.dumps({"files": files}).encode()))


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "out of the folder": (lambda: _tar(INFERENCE, ("../evil.py", b"")), "would not lie inside its folder"),
    "out by a detour": (lambda: _tar(INFERENCE, ("code/../../evil.py", b"")), "would not lie inside its folder"),
    "absolute": (lambda: _tar(INFERENCE, ("/etc/cron.d/evil", b"")), "would not lie inside its folder"),
    "a drive of Windows": (lambda: _tar(INFERENCE, ("C:\\evil.py", b"")), "would not lie inside its folder"),
    "a backslash": (lambda: _tar(INFERENCE, ("..\\evil.py", b"")), "would not lie inside its folder"),
    "a device of Windows": (lambda: _tar(INFERENCE, ("code/NUL.txt", b"")), "not every system can have"),
    "a control character": (lambda: _tar(INFERENCE, ("a\nb", b"")), "not every system can have"),
    "a folder outside": (lambda: _tar(INFERENCE, (_special("../up", tarfile.DIRTYPE), b"")), "would not lie inside"),
    "a symbolic link": (
        lambda: _tar(INFERENCE, (_special("code/link", tarfile.SYMTYPE, "/etc/passwd"), b"")), "a link, a device or"),
    "a hard link": (
        lambda: _tar(INFERENCE, (_special("link", tarfile.LNKTYPE, "code/inference.py"), b"")), "a link, a device or"),
    "a device": (lambda: _tar(INFERENCE, (_special("null", tarfile.CHRTYPE), b"")), "a link, a device or"),
    "a pipe": (lambda: _tar(INFERENCE, (_special("pipe", tarfile.FIFOTYPE), b"")), "a link, a device or"),
    "a letter that turns the reading direction": (
        lambda: _tar(INFERENCE, ("code/\u202eyp.exe", b"")), "not every system can have"),
    "a letter without width": (lambda: _tar(INFERENCE, ("code/a\u200b.py", b"")), "not every system can have"),
    "a path longer than systems take": (lambda: _tar(INFERENCE, ("a/" * 800 + "b", b"")), "not every system can have"),
    "a sparse file of 64 GB": (_sparse, "a sparse file"),
    "a size that no memory has": (_eight_exabytes, "more than 2 MB"),
    "one name twice": (lambda: _tar(INFERENCE, INFERENCE), "twice"),
    "one name twice but for its case": (lambda: _tar(INFERENCE, ("Code/Inference.py", b"")), "twice"),
    "one name twice in two spellings of é": (
        lambda: _tar(INFERENCE, ("caf\u00e9", b""), ("cafe\u0301", b"")), "twice"),
    "one name twice but for ß": (lambda: _tar(INFERENCE, ("straße", b""), ("STRASSE", b"")), "twice"),
    "a folder used as a file": (lambda: _tar(INFERENCE, ("a/b", b"x"), ("a", b"y")), "uses a folder as a file"),
    "a file used as a folder but for its case": (
        lambda: _tar(INFERENCE, ("A", b"x"), ("a/b", b"y")), "uses a file as a folder"),
    "a file used as a folder": (
        lambda: _tar(INFERENCE, ("a", b"x"), ("a/b", b"y")), "uses a file as a folder"),
    "a bomb of zeros": (lambda: _tar(INFERENCE, ("zeros", bytes(3_000_000))), "more than 2 MB"),
    "a bomb in a header": (lambda: _tar(INFERENCE, ("n" * 3_000_000, b"")), "more than 2 MB"),
    "a bomb after the end": (lambda: gzip.compress(gzip.decompress(_tar(INFERENCE, ("b", bytes(2_500_000))))), "2 MB"),
    "many files": (lambda: _tar(*((f"f{k}", b"") for k in range(60))), "more than 50 files"),
    "no code": (lambda: _tar(("model.pkl", b"x")), "has no code/inference.py"),
    "a tar without gzip": (lambda: gzip.decompress(_tar(INFERENCE)), "not a whole .tar.gz"),
    "a zip": (lambda: b"PK\x03\x04" + bytes(100), "not a whole .tar.gz"),
    "nothing": (lambda: b"", "not a whole .tar.gz"),
    "half of it": (lambda: _tar(INFERENCE, ("d", os.urandom(5000)))[:3000], "not a whole .tar.gz"),
    "all but its checksum": (lambda: _tar(INFERENCE)[:-8], "not a whole .tar.gz"),
    "another checksum": (lambda: _tar(INFERENCE)[:-8] + bytes(8), "not a whole .tar.gz"),
    "a second archive behind the first": (lambda: _tar(INFERENCE) + _tar(("evil.py", b"")), "behind the end"),
    "gzipped garbage": (lambda: gzip.compress(os.urandom(5000)), "not a whole .tar.gz"),
    "another hash": (lambda: _with_manifest({"code/inference.py": "0" * 64}), "its hash differs"),
    "a file that is missing": (lambda: _with_manifest({"model.pkl": "0" * 64}), "it is not there"),
    "a file that the manifest does not name": (
        lambda: _tar(INFERENCE, ("code/evil.py", b""), MANIFEST), "'code/evil.py' is a file that the manifest does"),
    "a manifest of another form": (lambda: _with_manifest(["model.pkl"]), "should be an object"),
    "a manifest that is no JSON": (lambda: _tar(INFERENCE, ("manifest.json", b"{")), "is not JSON"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_with_a_sentence_and_writes_nothing(name: str, tmp_path: Path) -> None:
    make, sentence = HOSTILE[name]
    path = tmp_path / "model.tar.gz"
    path.write_bytes(make())
    with pytest.raises(ParameterError) as error:
        artifacts.unpack(path, tmp_path / "model", most_mb=2, most_files=50)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == [path]
    assert not (tmp_path.parent / "evil.py").exists()


def test_where_it_cannot_be_written_nothing_is(tmp_path: Path) -> None:
    packed = _packed(tmp_path)
    for path, sentence in [(tmp_path / "model.zip", "end in .tar.gz"), (tmp_path / "no" / "m.tar.gz", "no folder")]:
        with pytest.raises(ParameterError, match=sentence):
            artifacts.pack(MODEL, path)
    with pytest.raises(ParameterError, match="cannot be written"):
        artifacts.pack(lambda row: row, tmp_path / "function.tar.gz")
    with pytest.raises(ParameterError, match="would not lie inside"):
        artifacts.pack(MODEL, tmp_path / "out.tar.gz", extra={"../out": "x"})
    with pytest.raises(ParameterError, match="exists: it should be a new folder"):
        artifacts.unpack(packed.path, tmp_path)
    for folder in ("a\0b", "\ud800"):
        with pytest.raises(ParameterError, match="no folder can have that name"):
            artifacts.unpack(packed.path, folder)
    with pytest.raises(ParameterError, match="there is no file"):
        artifacts.inspect(tmp_path / "none.tar.gz")
    assert list(tmp_path.iterdir()) == [packed.path]

"""Opening an archive that somebody else has made: everything is looked at before anything is written.

Refused, each with a sentence: what is no gzipped tar, names that lead out of the folder, links and devices, two files
of one name, more or larger files than agreed (a small archive may hold a huge file of zeros), and an archive without
`code/inference.py`.
"""

import gzip
import hashlib
import json
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any

from simlib.parameters import Count, ParameterError, Positive, checked

MOST_MB, MOST_FILES = 2000, 10_000
LONGEST_NAME = 255  # bytes; what file systems take
CODE, MANIFEST = "code/inference.py", "manifest.json"
_WINDOWS = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


@checked
def unpack(
    path: str | Path, folder: str | Path, *, most_mb: Positive = MOST_MB, most_files: Count = MOST_FILES
) -> Path:
    """Unpack the artifact at *path* into the new *folder*, whole or not at all.

    Parameters
    ----------
    path : str or Path
        A `model.tar.gz`.
    folder : str or Path
        What does not exist yet; the parent does.
    most_mb : float
        Unpacked size that is still agreed to [MB].
    most_files : int
        Files that are still agreed to.

    Raises
    ------
    ParameterError
        If the archive is refused (see above), a file is not the one that the manifest names, or the folder exists.
    """
    folder = Path(folder)
    if os.path.lexists(folder):
        raise ParameterError(f"unpack: {str(folder)!r} exists: it should be a new folder.")
    if not folder.parent.is_dir():
        raise ParameterError(f"unpack: there is no folder {str(folder.parent)!r} to unpack in.")
    contents = read(Path(path), most_mb=most_mb, most_files=most_files)
    check_hashes(contents)
    try:
        _write(contents, folder)
    except OSError as error:
        raise ParameterError(f"unpack: {str(folder)!r} cannot be written: {error.strerror}.") from None
    return folder


def _write(contents: Mapping[str, bytes], folder: Path) -> None:
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name[:50]}-", dir=folder.parent))
    try:
        for name, data in contents.items():
            target = beside / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        beside.rename(folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def read(path: Path, *, most_mb: float = MOST_MB, most_files: int = MOST_FILES) -> dict[str, bytes]:
    """The files of an artifact by name, in memory; raises before it has read more than agreed."""
    try:
        with path.open("rb") as file:
            return contents_of(file, path.name, most_mb=most_mb, most_files=most_files)
    except ParameterError:
        raise
    except FileNotFoundError:
        raise ParameterError(f"there is no file {str(path)!r}.") from None
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise ParameterError(f"{str(path)!r} cannot be read: {getattr(error, 'strerror', error)}.") from None


def contents_of(
    file: IO[bytes], name: str, *, most_mb: float = MOST_MB, most_files: int = MOST_FILES
) -> dict[str, bytes]:
    """The files of the artifact that lies in *file*, by name; *name* is what sentences call it."""
    try:
        with gzip.open(file) as source:
            capped: Any = _Capped(source, name, most_mb)
            with tarfile.open(mode="r|", fileobj=capped) as tar:
                contents = _contents(tar, name, most_files)
    except ParameterError:
        raise
    except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError, zlib.error) as error:
        raise ParameterError(f"{name} is not a whole .tar.gz archive: {error}.") from None
    if CODE not in contents:
        raise ParameterError(f"{name} has no {CODE}: it is no model artifact.")
    return contents


def _contents(tar: tarfile.TarFile, archive: str, most_files: int) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    for count, member in enumerate(tar, start=1):
        if count > most_files:
            raise ParameterError(f"{archive} holds more than {most_files} files: it is refused.")
        if member.isdir():
            check_name(member.name, archive)
        else:
            name = _checked_member(member, archive, contents)
            contents[name] = _bytes(tar, member)
    return contents


class _Capped:
    """A stream that ends with a sentence when more comes out of it than agreed, headers and padding included."""

    def __init__(self, source: Any, archive: str, most_mb: float) -> None:
        self.source, self.archive, self.most_mb, self.left = source, archive, most_mb, int(most_mb * 1e6)

    def read(self, length: int, /) -> bytes:
        """At most so many bytes."""
        data: bytes = self.source.read(length)
        self.left -= len(data)
        if self.left < 0:
            raise ParameterError(f"{self.archive} unpacks to more than {self.most_mb:g} MB: it is refused.")
        return data


def check_name(name: str, archive: str) -> None:
    """Raise about a name that would not stay inside the folder, on any system."""
    parts = PurePosixPath(name).parts
    odd = (
        not parts
        or name.startswith(("/", "\\"))
        or ".." in parts
        or any(sign in name for sign in '\\:\0*?"<>|')
        or any(ord(letter) < 32 or 0xD800 <= ord(letter) <= 0xDFFF for letter in name)
        or any(len(part.encode(errors="replace")) > LONGEST_NAME for part in parts)
        or any(part.split(".")[0].lower() in _WINDOWS or part.endswith((" ", ".")) for part in parts if part != ".")
    )
    if odd:
        raise ParameterError(f"{archive} names a file {name!r}, which would not lie inside its folder: it is refused.")


def check_hashes(contents: Mapping[str, bytes]) -> None:
    """Raise about a file that is not the one that the manifest names."""
    for name, said in manifest_of(contents).get("files", {}).items():
        if name not in contents:
            raise ParameterError(f"the manifest names {name!r}, and it is not there.")
        if hashlib.sha256(contents[name]).hexdigest() != said:
            raise ParameterError(f"{name!r} is not the file that the manifest names: its hash differs.")


def manifest_of(contents: Mapping[str, bytes]) -> dict[str, Any]:
    """What `manifest.json` says; empty where there is none."""
    if MANIFEST not in contents:
        return {}
    try:
        said = json.loads(contents[MANIFEST])
    except (ValueError, RecursionError):
        raise ParameterError(f"{MANIFEST} is not JSON.") from None
    if not isinstance(said, dict) or not isinstance(said.get("files", {}), dict):
        raise ParameterError(f"{MANIFEST} should be an object whose 'files' names a hash for each file.")
    return said


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    try:
        handle, beside = tempfile.mkstemp(prefix=f".{path.name[:50]}-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(beside).chmod(0o644)  # a temporary file is its owner's alone
            os.replace(beside, path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = error.strerror if isinstance(error, OSError) else error
        raise ParameterError(f"{str(path)!r} cannot be written: {reason}.") from None


def _checked_member(member: tarfile.TarInfo, archive: str, contents: Mapping[str, bytes]) -> str:
    check_name(member.name, archive)
    if not member.isfile():
        raise ParameterError(f"{archive} holds {member.name!r}, a link or device and no file: it is refused.")
    name = str(PurePosixPath(member.name))
    if name.lower() in {each.lower() for each in contents}:
        raise ParameterError(f"{archive} holds {name!r} twice: it is refused.")
    if any(str(parent) in contents for parent in PurePosixPath(name).parents):
        raise ParameterError(f"{archive} uses a file as a folder in {name!r}: it is refused.")
    return name


def _bytes(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    source = tar.extractfile(member)
    data = b"" if source is None else source.read(member.size)
    if len(data) != member.size:
        raise tarfile.ReadError(f"{member.name!r} ends early")
    return data

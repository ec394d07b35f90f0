"""Opening an archive that somebody else has made: everything is looked at before anything is written.

Refused, each with a sentence: what is no whole gzipped tar, or holds more behind its end; names that lead out of the
folder, or that some system cannot write or a reader cannot see; links, devices and sparse files; two files of one name,
on a system that knows no capitals, too; more or larger files than agreed (a small archive may hold a huge file of
zeros); an archive without `code/inference.py`; and files that are not those of the manifest.
"""

import gzip
import hashlib
import json
import os
import re
import shutil
import tarfile
import tempfile
import unicodedata
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any

from simlib.parameters import Count, ParameterError, Positive, checked, shortly

MOST_MB, MOST_FILES = 2000, 10_000
LONGEST_NAME, LONGEST_PATH = 255, 1000  # bytes; what file systems take
CODE, MANIFEST = "code/inference.py", "manifest.json"
_PORTS = {f"{port}{n}" for port in ("com", "lpt") for n in "123456789¹²³"}
_WINDOWS = {"con", "prn", "aux", "nul", "conin$", "conout$"} | _PORTS


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
    if not folder.name.isprintable():
        raise ParameterError(f"unpack: folder={shortly(str(folder))} is not possible: no folder can have that name.")
    if os.path.lexists(folder):
        raise ParameterError(f"unpack: {str(folder)!r} exists: it should be a new folder.")
    if not folder.parent.is_dir():
        raise ParameterError(f"unpack: there is no folder {str(folder.parent)!r} to unpack in.")
    contents = read(Path(path), most_mb=most_mb, most_files=most_files)
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
    """The files of an artifact by name, in memory, as the manifest names them; raises before it has read too much."""
    try:
        with path.open("rb") as file:
            contents = contents_of(file, path.name, most_mb=most_mb, most_files=most_files)
    except ParameterError:
        raise
    except FileNotFoundError:
        raise ParameterError(f"there is no file {str(path)!r}.") from None
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise ParameterError(f"{str(path)!r} cannot be read: {getattr(error, 'strerror', error)}.") from None
    _check_hashes(contents)
    return contents


def contents_of(
    file: IO[bytes], name: str, *, most_mb: float = MOST_MB, most_files: int = MOST_FILES
) -> dict[str, bytes]:
    """The files of the artifact that lies in *file*, by name; *name* is what sentences call it."""
    try:
        with gzip.open(file) as source:
            capped: Any = _Capped(source, name, most_mb)
            with tarfile.open(mode="r|", fileobj=capped) as tar:
                contents = _contents(tar, name, most_files, capped)
                _check_end(tar.fileobj, name)
    except ParameterError:
        raise
    except (tarfile.TarError, EOFError, OSError, ValueError, OverflowError, zlib.error) as error:
        raise ParameterError(f"{name} is not a whole .tar.gz archive: {error}.") from None
    if CODE not in contents:
        raise ParameterError(f"{name} has no {CODE}: it is no model artifact.")
    return contents


def _contents(tar: tarfile.TarFile, archive: str, most_files: int, capped: "_Capped") -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    places = _Places(archive)
    for count, member in enumerate(tar, start=1):
        if count > most_files:
            raise ParameterError(f"{archive} holds more than {most_files} files: it is refused.")
        if member.isdir() and not PurePosixPath(member.name).parts:
            continue  # "./", the folder itself: as `tar -czf model.tar.gz .` writes it
        check_name(member.name, archive)
        if member.isdir():
            places.folder(member.name)
            continue
        if not member.isfile() or member.issparse():
            raise ParameterError(
                f"{archive} holds {shortly(member.name)}, a link, a device or a sparse file: it is refused."
            )
        capped.must_hold(member.size)
        places.file(member.name)
        contents[str(PurePosixPath(member.name))] = _bytes(tar, member)
    return contents


def _check_end(rest: Any, archive: str) -> None:
    """Read to the end, for only there gzip says whether all was whole; behind the archive there are zeros alone."""
    while data := rest.read(tarfile.RECORDSIZE):
        if any(data):
            raise ParameterError(f"{archive} holds more behind the end of the archive: it is refused.")


class _Places:
    """Where files and folders of an archive lie, for a system that knows neither capitals nor two ways to write é."""

    def __init__(self, archive: str) -> None:
        self.archive = archive
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def file(self, name: str) -> None:
        """Give a file its place, or say who has it."""
        place = self._place(name)
        if place in self._files:
            raise ParameterError(f"{self.archive} holds {shortly(name)} twice: it is refused.")
        self._inside(place.rpartition("/")[0], name)
        if place in self._folders:
            raise ParameterError(f"{self.archive} uses a folder as a file in {shortly(name)}: it is refused.")
        self._files.add(place)

    def folder(self, name: str) -> None:
        """Give a folder its place, or say who has it."""
        self._inside(self._place(name), name)

    def _inside(self, folder: str, name: str) -> None:
        while folder and folder not in self._folders:
            if folder in self._files:
                raise ParameterError(f"{self.archive} uses a file as a folder in {shortly(name)}: it is refused.")
            self._folders.add(folder)
            folder = folder.rpartition("/")[0]

    def _place(self, name: str) -> str:
        plain = "/".join(PurePosixPath(name).parts)
        return unicodedata.normalize("NFC", unicodedata.normalize("NFC", plain).casefold())


class _Capped:
    """A stream that ends with a sentence when more comes out of it than agreed, headers and padding included."""

    def __init__(self, source: Any, archive: str, most_mb: float) -> None:
        self.source, self.archive, self.most_mb, self.left = source, archive, most_mb, int(most_mb * 1e6)

    def read(self, length: int, /) -> bytes:
        """At most so many bytes."""
        data: bytes = self.source.read(length)
        self.left -= len(data)
        self.must_hold(0)
        return data

    def must_hold(self, length: int) -> None:
        """Raise where so many bytes more are too many: a header may say any number, and nobody makes room for it."""
        if length > self.left:
            raise ParameterError(f"{self.archive} unpacks to more than {self.most_mb:g} MB: it is refused.")


def check_name(name: str, archive: str) -> None:
    """Raise about a name that leads out of the folder, or that not every system can write and every reader see."""
    parts = PurePosixPath(name).parts
    if name.startswith(("/", "\\")) or name[1:2] == ":" or ".." in re.split(r"[/\\]", name):
        raise ParameterError(
            f"{archive} names a file {shortly(name)}, which would not lie inside its folder: it is refused."
        )
    odd = (
        not parts
        or not name.isprintable()  # what turns the reading direction or takes no room, too
        or any(sign in name for sign in '\\:*?"<>|')
        or len(name.encode(errors="replace")) > LONGEST_PATH
        or any(len(part.encode(errors="replace")) > LONGEST_NAME for part in parts)
        or any(part.split(".")[0].strip().lower() in _WINDOWS or part.endswith((" ", ".")) for part in parts)
    )
    if odd:
        raise ParameterError(
            f"{archive} names a file {shortly(name)}, and not every system can have a file of that name: it is refused."
        )


def _check_hashes(contents: Mapping[str, bytes]) -> None:
    """Raise about a file that is not the one that the manifest names."""
    if MANIFEST not in contents:
        return
    named = manifest_of(contents).get("files", {})
    for name, said in named.items():
        if name not in contents:
            raise ParameterError(f"the manifest names {shortly(name)}, and it is not there.")
        if hashlib.sha256(contents[name]).hexdigest() != said:
            raise ParameterError(f"{shortly(name)} is not the file that the manifest names: its hash differs.")
    for name in sorted(contents.keys() - named.keys() - {MANIFEST} if named else ()):
        raise ParameterError(f"{shortly(name)} is a file that the manifest does not name.")


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


def _bytes(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    source = tar.extractfile(member)
    data = b"" if source is None else source.read(member.size)
    if len(data) != member.size:
        raise tarfile.ReadError(f"{member.name!r} ends early")
    return data

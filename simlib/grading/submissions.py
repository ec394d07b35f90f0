"""What was handed in: found in a folder or a platform's zip, read with care, whose it is.

Understood are a plain folder (`ana.ipynb`, `ana/anything.ipynb`), Moodle's download (`Ana
López_12345_assignsubmission_file/…`) and Canvas's (`lopezana_LATE_12345_678_name.ipynb`), each as a folder or a zip.
Nothing is unpacked to disk, no link is followed, and nothing larger than a notebook can reasonably be is read.
"""

import hashlib
import io
import re
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from simlib.parameters import ParameterError

LARGEST_MB = 20
MOST_FILES = 50_000

MOODLE = re.compile(r"(?P<name>.*)_(?P<id>\d+)_assignsubmission_(?:file|onlinetext)_?(?P<file>.*)", re.S)
CANVAS = re.compile(r"(?P<name>[^_]*)_(?P<late>LATE_)?(?P<id>\d+)_(?P<upload>\d+)_(?P<file>.+)", re.S)
ATTEMPT = re.compile(r"-(\d+)\.ipynb$")


@dataclass(frozen=True)
class Attempt:
    """One notebook that a student handed in; *content* is None where it was not read, and *fault* says why."""

    file: str
    order: tuple[float, str]  # later ones are greater
    content: bytes | None
    fault: str = ""

    @property
    def sha256(self) -> str:
        """The fingerprint of what was handed in."""
        return hashlib.sha256(self.content if self.content is not None else self.fault.encode()).hexdigest()


@dataclass(frozen=True)
class Submission:
    """Everything one student handed in, earliest first."""

    student: str  # the platform's id, or the name of the file or folder
    name: str = ""  # as the platform writes it, where it does
    folder: str = ""  # the platform's own name of the student's folder
    is_late: bool = False
    attempts: list[Attempt] = field(default_factory=list)


@dataclass(frozen=True)
class _Found:
    parts: tuple[str, ...]
    attempt: Attempt | None  # None: a file that is no notebook


def collect(place: Path) -> list[Submission]:
    """All submissions in a folder or zip, by student.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ParameterError
        If it is neither, or nothing in it is a submission.
    """
    if not place.exists():
        raise FileNotFoundError(2, "there is no such file or folder", str(place))
    if place.is_file() and not zipfile.is_zipfile(place):
        raise ParameterError(f"{place} is neither a folder of submissions nor a zip that can be read.")
    students: dict[str, Submission] = {}
    for found in _in_folder(place) if place.is_dir() else _in_zip(place, ()):
        _add(students, found)
    if not students:
        raise ParameterError(f"{place} holds no submissions: it should hold a notebook or a folder for each student.")
    for submission in students.values():
        submission.attempts.sort(key=lambda attempt: attempt.order)
    return sorted(students.values(), key=lambda submission: submission.student)


def _add(students: dict[str, Submission], found: _Found) -> None:
    parts = [as_text(part) for part in found.parts]
    first, name, folder, is_late = parts[0], "", "", False
    if moodle := MOODLE.fullmatch(first):
        student, name, folder = moodle["id"], moodle["name"], first.removesuffix(moodle["file"])
    elif len(parts) == 1 and (canvas := CANVAS.fullmatch(first)):
        student, name, folder, is_late = canvas["id"], canvas["name"], first, bool(canvas["late"])
    else:
        student = first if len(parts) > 1 else PurePosixPath(first).stem
        if len(parts) == 1 and found.attempt is None:
            return  # a list of students, say
    if student not in students:
        students[student] = Submission(student, name, folder, is_late)
    if found.attempt is not None:
        students[student].attempts.append(replace(found.attempt, file=as_text(found.attempt.file)))


def as_text(name: str) -> str:
    """A file's name, which may hold bytes that are no text."""
    return name.encode("utf-8", "replace").decode()


# --- folders --------------------------------------------------------------------------------------------------------


def _in_folder(folder: Path) -> Iterator[_Found]:
    for path in sorted(folder.rglob("*"))[:MOST_FILES]:
        parts = path.relative_to(folder).parts
        if any(part.startswith((".", "__MACOSX")) for part in parts):
            continue
        if path.is_symlink() or any((folder / Path(*parts[:k])).is_symlink() for k in range(1, len(parts))):
            if path.name.endswith(".ipynb") or len(parts) > 1:
                yield _Found(parts, Attempt(path.name, (0.0, path.name), None, "a link instead of a file"))
            continue
        if path.is_dir():
            yield from [_Found((*parts, ""), None)] if len(parts) == 1 else []
        elif not path.is_file():  # a pipe, say, which nobody writes to
            yield _Found(parts, Attempt(path.name, (0.0, path.name), None, "not a file"))
        elif path.suffix.lower() == ".zip":
            yield from _in_zip(path, parts)
        elif path.suffix.lower() == ".ipynb":
            yield _Found(parts, _read_file(path))
        else:
            yield _Found(parts, None)


def _read_file(path: Path) -> Attempt:
    order = (path.stat().st_mtime, path.name)
    if path.stat().st_size > LARGEST_MB * 2**20:
        return Attempt(path.name, order, None, f"larger than {LARGEST_MB} MB")
    try:
        return Attempt(path.name, order, path.read_bytes())
    except OSError as error:
        return Attempt(path.name, order, None, f"cannot be read ({error.strerror})")


# --- zips -----------------------------------------------------------------------------------------------------------


def _in_zip(path: Path, owner: tuple[str, ...]) -> Iterator[_Found]:
    """The files of a platform's zip, or of one that the student *owner* handed in."""
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist()[:MOST_FILES]:
                yield from _in_archive(archive, info, owner)
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        if not owner:
            raise ParameterError(f"{path} is not a zip that can be read.") from None
        yield _Found(owner, Attempt(path.name, (0.0, path.name), None, "a zip that cannot be read"))


def _in_archive(archive: zipfile.ZipFile, info: zipfile.ZipInfo, owner: tuple[str, ...]) -> Iterator[_Found]:
    parts = tuple(part for part in info.filename.replace("\\", "/").split("/") if part)
    if not parts or any(part.startswith((".", "__MACOSX")) and part != ".." for part in parts):
        return
    is_platforms = bool(MOODLE.fullmatch(parts[0]) or CANVAS.fullmatch(parts[0]))
    whose = parts if is_platforms or not owner else (PurePosixPath(owner[0]).stem, *parts)
    order = (_moment(info, parts[-1]), info.filename)
    if ".." in parts or info.filename.startswith("/") or stat.S_ISLNK(info.external_attr >> 16):
        safe = tuple(part for part in whose if part != "..") or ("unnamed",)
        yield _Found(safe, Attempt(parts[-1], order, None, "a link, or a name that leads outside the zip"))
    elif info.is_dir():
        yield _Found((*whose, ""), None)
    elif parts[-1].lower().endswith(".ipynb"):
        yield _Found(whose, _read_entry(archive, info, parts[-1], order))
    else:
        yield _Found(whose, None)


def _read_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, order: tuple[float, str]) -> Attempt:
    """One file; what a bomb claims to be its size is not believed."""
    limit = LARGEST_MB * 2**20
    try:
        with archive.open(info) as file:
            content = io.BytesIO()
            while block := file.read(1 << 16):
                content.write(block)
                if content.tell() > limit:
                    return Attempt(name, order, None, f"larger than {LARGEST_MB} MB")
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError, ValueError):
        return Attempt(name, order, None, "damaged or encrypted in the zip")
    return Attempt(name, order, content.getvalue())


def _moment(info: zipfile.ZipInfo, name: str) -> float:
    """What orders attempts: Canvas numbers them, elsewhere the file's own time in the zip."""
    if numbered := ATTEMPT.search(name):
        return 1e12 + int(numbered[1])
    year, month, day, hour, minute, second = info.date_time
    return float(((((year * 12 + month) * 31 + day) * 24 + hour) * 60 + minute) * 60 + second)

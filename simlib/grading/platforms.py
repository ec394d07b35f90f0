"""What goes back to the learning platform: the teacher's own sheet with marks filled in, and a zip of feedback.

A sheet is changed in two columns at most, mark and feedback; delimiter, decimal sign, line ends, order and every other
cell stay as they are.  Moodle's grading worksheet is told by its column of identifiers ("Participant 123", in any
language), Canvas's gradebook by its columns "Student" and "ID".
"""

import csv
import io
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from simlib.grading.records import Records, feedback_name, neutral, read_table
from simlib.parameters import ParameterError

MARK = re.compile(r"^(grade|mark|score|calificaci[oó]n|nota|note|bewertung|valutazione|cijfer|nota final)$", re.I)
MOST = re.compile(r"m[aá]x|h[oö]chst", re.I)
COMMENT = re.compile(r"feedback|comentario|retroalimentaci|kommentar|commentaire|comment", re.I)
IDENTIFIER = re.compile(r"^\D+(\d+)$")
POINTS_POSSIBLE = "points possible"


@dataclass
class Sheet:
    """A platform's CSV file, read so that it can be written as it was."""

    rows: list[list[str]]
    delimiter: str
    line_end: str
    encoding: str
    is_quoted: bool

    @classmethod
    def read(cls, path: Path) -> "Sheet":
        """Read a sheet.

        Raises
        ------
        ParameterError
            If it holds no table.
        """
        content = path.read_bytes()
        encoding = "utf-8-sig" if content.startswith(b"\xef\xbb\xbf") else "utf-8"
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            encoding = "cp1252"  # what an older Excel writes
            text = content.decode(encoding)
        first = text.split("\n", 1)[0]
        delimiter = max(",;\t", key=first.count)
        line_end = "\r\n" if "\r\n" in text else "\n"
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
        if len(rows) < 2 or len(rows[0]) < 2:
            raise ParameterError(f"{path} is not a sheet with a header and students.")
        return cls(rows, delimiter, line_end, encoding, first.lstrip("\ufeff").startswith('"'))

    def content(self) -> bytes:
        """The sheet as a file's content."""
        buffer = io.StringIO()
        options: Any = {"quoting": csv.QUOTE_ALL if self.is_quoted else csv.QUOTE_MINIMAL}
        csv.writer(buffer, delimiter=self.delimiter, lineterminator=self.line_end, **options).writerows(self.rows)
        return buffer.getvalue().encode(self.encoding, "replace")

    def column(self, pattern: re.Pattern[str]) -> int | None:
        """The first column whose header fits."""
        return next((k for k, name in enumerate(self.rows[0]) if pattern.search(name.strip())), None)

    def named(self, name: str) -> int:
        """The column of this name.

        Raises
        ------
        ParameterError
            If there is none.
        """
        header = [each.strip() for each in self.rows[0]]
        if name not in header:
            raise ParameterError(f"--column: the sheet has no column {name!r}; it has {', '.join(header)}.")
        return header.index(name)


def give_back(
    out: Path, results: Sequence[Mapping[str, Any]], sheet: Path | None, column: str | None, scale: float | None
) -> list[str]:
    """Write `platform/`: the filled sheet if one is named, and the zip of feedback where the platform gave folders."""
    said = []
    folder = out / "platform"
    folders = _write_feedback_zip(out, results, folder / "feedback.zip")
    if folders:
        said.append(f"{folder / 'feedback.zip'}: feedback of {folders} students, named as the platform does.")
    if sheet is not None:
        filled, missing, content = fill(Sheet.read(sheet), results, column, scale)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / sheet.name).write_bytes(content)
        said.append(f"{folder / sheet.name}: {filled} marks filled in.")
        if missing:
            said.append(f"{len(missing)} who handed in are not in the sheet, or wait for marks by hand.")
    return said


def fill(
    sheet: Sheet, results: Sequence[Mapping[str, Any]], column: str | None = None, scale: float | None = None
) -> tuple[int, list[str], bytes]:
    """Fill marks in; how many, which students were not found or are pending, and the new content.

    Raises
    ------
    ParameterError
        If the sheet is of neither platform, or the column of marks is not clear.
    """
    by_student = {result["student"]: result for result in results if result["status"] != "pending"}
    header = [name.strip().lower() for name in sheet.rows[0]]
    if "student" in header and "id" in header:
        who, where, most = _canvas(sheet, header, column)
        comment = None
    else:
        who, where, most = _moodle(sheet, column)
        comment = sheet.column(COMMENT)
    uses_comma = sheet.delimiter == ";" or any(re.fullmatch(r"\d+,\d+", cell) for row in sheet.rows[1:] for cell in row)
    found = set()
    for row in sheet.rows[1:]:
        student = next((name for name in who(row) if name in by_student), None)
        if student is None:
            continue
        row += [""] * (len(sheet.rows[0]) - len(row))
        result = by_student[student]
        highest = scale or most(row) or result["max"]
        row[where] = _written(result["total"] / result["max"] * highest, uses_comma)
        if comment is not None:
            row[comment] = neutral(in_brief(result))
        found.add(student)
    missing = sorted({result["student"] for result in results} - found)
    return len(found), missing, sheet.content()


def in_brief(result: Mapping[str, Any]) -> str:
    """Feedback in one line, for a sheet."""
    parts = []
    for each in result["questions"]:
        why = f" ({each['reason']})" if each["reason"] else ""
        parts.append(f"{each['question']}: {each['points']:g}/{each['maximum']:g}{why}")
    return "; ".join(parts)


def _written(mark: float, uses_comma: bool) -> str:
    text = f"{mark:.2f}"
    return text.replace(".", ",") if uses_comma else text


# --- the two platforms ----------------------------------------------------------------------------------------------


def _moodle(sheet: Sheet, column: str | None) -> tuple[Any, int, Any]:
    """Who a row is about, where the mark goes, and out of how much."""
    rows = [row for row in sheet.rows[1:] if any(row)]
    places = [
        k for k in range(len(sheet.rows[0])) if rows and all(len(row) > k and IDENTIFIER.match(row[k]) for row in rows)
    ]
    if not places:
        raise ParameterError("the sheet is neither Moodle's (no column like 'Participant 123') nor Canvas's.")
    where = sheet.named(column) if column else sheet.column(MARK)
    if where is None:
        raise ParameterError("which column of the sheet holds the mark? Name it with --column.")
    highest = sheet.column(MOST)

    def who(row: list[str]) -> list[str]:
        matched = IDENTIFIER.match(row[places[0]]) if len(row) > places[0] else None
        return [matched[1]] if matched else []

    def most(row: list[str]) -> float | None:
        return _number(row[highest]) if highest is not None else None

    return who, where, most


def _canvas(sheet: Sheet, header: list[str], column: str | None) -> tuple[Any, int, Any]:
    ids = [k for k, name in enumerate(header) if name in ("id", "sis login id", "sis user id")]
    works = [k for k, name in enumerate(header) if re.search(r"\(\d+\)$", name)]
    if column:
        where = next((k for k in works if header[k].rpartition(" (")[0] == column.lower()), None)
        where = sheet.named(column) if where is None else where
    elif len(works) == 1:
        where = works[0]
    else:
        raise ParameterError("the sheet has several assignments, or none: name this one's column with --column.")
    possible = [row for row in sheet.rows[1:] if row and POINTS_POSSIBLE in row[0].strip().lower()]
    highest = _number(possible[0][where]) if possible else None

    def who(row: list[str]) -> list[str]:
        return [] if POINTS_POSSIBLE in row[0].strip().lower() else [row[k].strip() for k in ids]

    return who, where, lambda row: highest


def _number(text: str) -> float | None:
    try:
        return float(text.strip().replace(",", ".")) or None
    except ValueError:
        return None


# --- feedback -------------------------------------------------------------------------------------------------------


def _write_feedback_zip(out: Path, results: Sequence[Mapping[str, Any]], target: Path) -> int:
    """Each student's feedback under the platform's own name of his folder or file; the same bytes each time."""
    folders = {row["student"]: row["folder"] for row in read_table(Records(out).private / "names.csv")[1]}
    named = [(folders[each["student"]], each["student"]) for each in results if folders.get(each["student"])]
    if not named:
        return 0
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for folder, student in sorted(named):
            is_file = folder.lower().endswith(".ipynb")
            name = f"{PurePosixPath(folder).stem}.html" if is_file else f"{folder}/feedback.html"
            page = (out / "feedback" / feedback_name(student)).read_bytes()
            archive.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), page)
    return len(named)

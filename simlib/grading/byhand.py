"""What a teacher marks by hand: open questions, overrides, groups; kept in files of his own that no run changes.

    manual.csv      student,question,points,comment       open questions, and a comment on any question
    overrides.csv   student,points,reason,who,date        the total of a student, whatever was computed
    groups.csv      submitted,student                     who shares whose submission

`manual.csv` is begun with a row for each open answer; rows with points stay as they are for ever.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from simlib.grading.records import number, read_table, write_table
from simlib.grading.source import Source
from simlib.parameters import ParameterError

MANUAL = ("student", "question", "points", "comment", "answer")
OVERRIDES = ("student", "points", "reason", "who", "date")
GROUPS = ("submitted", "student")


@dataclass(frozen=True)
class HandWork:
    """Everything a teacher has marked by hand."""

    source: Source
    manual: dict[tuple[str, str], tuple[float | None, str]] = field(default_factory=dict)
    overrides: dict[str, tuple[float, str]] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)

    def members(self, submitted: str) -> list[str]:
        """Who gets the marks of a submission: whoever handed it in, and his group."""
        return list(dict.fromkeys([submitted, *self.groups.get(submitted, [])]))

    def applied(self, kept: Mapping[str, Any], student: str, submitted: str) -> dict[str, Any]:
        """A student's result with manual marks, comments and overrides; `pending` while an open answer has no marks."""
        questions, is_pending = [], False
        for each in kept["questions"]:
            points, comment = self._by_hand(student, submitted, each["question"])
            marked = dict(each, comment=comment)
            if points is not None:
                marked |= {"points": points, "is_marked": True}
            is_pending = is_pending or not marked["is_marked"]
            questions.append(marked)
        total = round(sum(each["points"] for each in questions), 2)
        result = dict(kept, student=student, questions=questions, total=total, max=self.source.points)
        if is_pending and kept["status"] == "ok":
            result["status"] = "pending"
        if student in self.overrides:
            result["total"], result["override"] = self.overrides[student]
            result["reason"] = "; ".join(filter(None, [f"override: {result['override']}", kept["reason"]]))
        return result

    def _by_hand(self, student: str, submitted: str, question: str) -> tuple[float | None, str]:
        return self.manual.get((student, question)) or self.manual.get((submitted, question)) or (None, "")


def read_handwork(folder: Path, source: Source, students: Sequence[str]) -> HandWork:
    """Read the teacher's files in *folder*; those that are not there say nothing.

    Raises
    ------
    ParameterError
        If a file has no such columns, or a row names nobody, no question, or no possible points.
    """
    work = HandWork(source)
    for where, row in _rows(folder / "groups.csv", GROUPS):
        if row["submitted"] not in students:
            raise ParameterError(f"{where}: {row['submitted']!r} handed nothing in.")
        work.groups.setdefault(row["submitted"], []).append(row["student"])
    known = {*students, *(member for members in work.groups.values() for member in members)}
    for where, row in _rows(folder / "manual.csv", MANUAL[:3]):
        _require_known(row["student"], known, where)
        if row["question"] not in source.questions:
            raise ParameterError(f"{where}: there is no question {row['question']!r}.")
        most = source.questions[row["question"]].points
        points = _points(row["points"], most, where) if row["points"] else None
        if points is not None or row.get("comment"):
            work.manual[row["student"], row["question"]] = (points, row.get("comment", ""))
    for where, row in _rows(folder / "overrides.csv", OVERRIDES):
        _require_known(row["student"], known, where)
        if not (row["reason"] and row["who"] and row["date"]):
            raise ParameterError(f"{where}: an override needs a reason, who made it, and a date.")
        work.overrides[row["student"]] = (_points(row["points"], source.points, where), row["reason"])
    return work


def _rows(path: Path, columns: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    header, rows = read_table(path)
    missing = [column for column in columns if column not in header]
    if header and missing:
        raise ParameterError(f"{path.name} needs the columns {', '.join(columns)}; it lacks {', '.join(missing)}.")
    for row in rows:  # a name that was made harmless for spreadsheets is the same name
        for column in ("student", "submitted"):
            if row.get(column, "")[:2] in ("'=", "'+", "'-", "'@"):
                row[column] = row[column][1:]
    return [(f"{path.name}, line {number_of + 2}", row) for number_of, row in enumerate(rows)]


def _require_known(student: str, known: set[str], where: str) -> None:
    if student not in known:
        raise ParameterError(f"{where}: {student!r} handed nothing in and is in no group.")


def _points(text: str, most: float, where: str) -> float:
    points = number(text, where)
    if not 0 <= points <= most:
        raise ParameterError(f"{where}: points={points:g} is not possible: it should be from 0 to {most:g}.")
    return points


# --- sheets to fill in ----------------------------------------------------------------------------------------------


def write_manual_sheet(folder: Path, source: Source, results: Sequence[Mapping[str, Any]]) -> None:
    """Add a row for each open answer that has none yet; what is there stays."""
    path = folder / "manual.csv"
    header, rows = read_table(path)
    there = {(row["student"], row["question"]) for row in rows}
    new = [
        {"student": result["student"], "question": name, "answer": " ".join(text.split())[:2000]}
        for result in results
        for name, text in sorted(result["open"].items())
        if text and not _has_row(there, result["student"], name)
    ]
    if new or (not header and any(asked.kind == "open" for asked in source.questions.values())):
        write_table(path, header or MANUAL, [*rows, *new])


def _has_row(there: set[tuple[str, str]], student: str, question: str) -> bool:
    return (student, question) in there or ("'" + student, question) in there


def write_oral_sheet(folder: Path, source: Source, results: Sequence[Mapping[str, Any]]) -> None:
    """A two-minute check for each student: one of his own right answers to explain, chosen by his name."""
    rows = []
    for result in results:
        right = [each["question"] for each in result["questions"] if each["points"] > 0]
        if right:
            digest = hashlib.sha256(f"{source.name} {result['student']}".encode()).digest()
            chosen = right[digest[0] % len(right)]
            rows.append({"student": result["student"], "question": chosen, "ask": _ASKS[digest[1] % len(_ASKS)]})
    write_table(folder / "oral.csv", ("student", "question", "ask", "convinced", "note"), rows)


_ASKS = (
    "Open your cell and read it aloud: what does each line do, and why is it there?",
    "Change one number of the example: which way does your answer go, and by how much?",
    "Which case would break a simpler solution, and how does yours hold?",
    "What did you try first, and how did you notice that it was wrong?",
)

"""What a grading run keeps, in the teacher's own folder: who is who, what each student earned, and how it came about.

    DIR/marks.csv  overview.html  feedback/STUDENT.html  similar.csv      what a teacher looks at
    DIR/manual.csv  overrides.csv  groups.csv                             what a teacher writes
    DIR/private/   seed, key, names.csv, results/, receipts/, engine/     never to be handed out

A student is a pseudonym, a hash under a key that lies in this folder alone, everywhere but in `names.csv`, `marks.csv`,
the teacher's own files and the names of feedback files.
"""

import csv
import hashlib
import hmac
import io
import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simlib.parameters import ParameterError

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet would run


@dataclass(frozen=True)
class Records:
    """The folder of one grading run, and where things lie in it."""

    folder: Path

    @property
    def private(self) -> Path:
        """What is never handed out."""
        return self.folder / "private"

    @property
    def engine(self) -> Path:
        """What was judged: policies, and what they led to."""
        return self.private / "engine"

    def seed(self, wanted: str | None) -> str:
        """The secret seed: the one that is wanted, the one that was kept, or a new one.

        Raises
        ------
        ParameterError
            If another seed was used in this folder before.
        """
        kept = self._secret("seed", wanted or secrets.token_hex(16))
        if wanted is not None and wanted != kept:
            raise ParameterError(f"{self.folder} was begun with another seed; name another folder for this one.")
        return kept

    def pseudonym(self, student: str) -> str:
        """A name that says nothing, the same in every run of this folder."""
        key = self._secret("key", secrets.token_hex(32))
        return "s" + hmac.new(key.encode(), student.encode(), hashlib.sha256).hexdigest()[:12]

    def _secret(self, name: str, new: str) -> str:
        path = self.private / name
        if not path.exists():
            self.private.mkdir(parents=True, exist_ok=True)
            os.chmod(self.private, 0o700)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(new)
        return path.read_text().strip()

    def require_exercise(self, name: str) -> None:
        """One folder holds the marks of one exercise.

        Raises
        ------
        ParameterError
            If this one holds those of another, or something that is no grading run.
        """
        path = self.private / "exercise"
        if not path.exists() and self.folder.exists() and any(self.folder.iterdir()):
            known = {"private", "manual.csv", "overrides.csv", "groups.csv"}
            if {each.name for each in self.folder.iterdir()} - known:
                raise ParameterError(f"{self.folder} holds other files: name a new or an empty folder.")
        if self._secret("exercise", name) != name:
            raise ParameterError(f"{self.folder} holds the marks of {path.read_text().strip()!r}: name another folder.")

    # --- results ----------------------------------------------------------------------------------------------------

    def result(self, pseudonym: str) -> dict[str, Any] | None:
        """What was kept of a student, None if nothing was, or nothing whole."""
        try:
            kept = json.loads((self.private / "results" / f"{pseudonym}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return kept if isinstance(kept, dict) else None

    def keep(self, kind: str, pseudonym: str, content: Mapping[str, Any]) -> None:
        """Keep a result or a receipt."""
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        write(self.private / kind / f"{pseudonym}.json", text)

    def last_totals(self) -> dict[str, float]:
        """The points of each pseudonym as the last run told them."""
        path = self.private / "last.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def keep_totals(self, totals: Mapping[str, float]) -> None:
        """Keep what the next run compares with."""
        write(self.private / "last.json", json.dumps(totals, sort_keys=True))

    def forget(self, student: str) -> list[Path]:
        """Delete everything about a student; which files went or changed."""
        pseudonym = self.pseudonym(student)
        gone = [
            self.private / "results" / f"{pseudonym}.json",
            self.private / "receipts" / f"{pseudonym}.json",
            self.private / "answers" / f"{pseudonym}.html",
            self.folder / "feedback" / feedback_name(student),
        ]
        changed = [path for path in gone if path.exists()]
        for path in changed:
            path.unlink()
        for name, columns in (
            ("marks.csv", ("student",)),
            ("manual.csv", ("student",)),
            ("overrides.csv", ("student",)),
            ("groups.csv", ("student", "submitted")),
            ("similar.csv", ("one", "other")),
            ("oral.csv", ("student",)),
            ("private/names.csv", ("student",)),
        ):
            path = self.folder / name
            header, rows = read_table(path)
            wanted = {student, pseudonym, neutral(student)}
            kept = [row for row in rows if not any(row.get(column) in wanted for column in columns)]
            if len(kept) < len(rows):
                write_table(path, header, kept)
                changed.append(path)
        totals = self.last_totals()
        if totals.pop(pseudonym, None) is not None:
            self.keep_totals(totals)
            changed.append(self.private / "last.json")
        if changed:  # what was made for the platform holds everybody's; the next run makes it anew
            made = [path for path in sorted((self.folder / "platform").glob("*")) if path.is_file()]
            for path in made:
                path.unlink()
            changed += made
        return changed


# --- files ----------------------------------------------------------------------------------------------------------


def write(path: Path, text: str) -> None:
    """Write whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8", errors="replace", newline="")
    temporary.replace(path)


def neutral(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return "'" + text if text.startswith(FORMULA) else text


def write_table(path: Path, header: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """A CSV file, every text neutral."""
    lines = [[neutral(str(row.get(column, ""))) for column in header] for row in rows]
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([list(header), *lines])
    write(path, buffer.getvalue())


def read_table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """A CSV file as a spreadsheet saves it: commas or semicolons, with or without BOM; empty where there is none."""
    if not path.exists():
        return [], []
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")  # what an older Excel writes
    first = text.splitlines()[0] if text.strip() else ""
    delimiter = max(",;\t", key=first.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows = [{str(k).strip(): (v or "").strip() for k, v in row.items() if k is not None} for row in reader]
    return [name.strip() for name in reader.fieldnames or []], [row for row in rows if any(row.values())]


def number(text: str, where: str) -> float:
    """A number as people write it, 1.5 or 1,5.

    Raises
    ------
    ParameterError
        If it is none.
    """
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise ParameterError(f"{where}: {text!r} is not a number.") from None


def feedback_name(student: str) -> str:
    """The name of a student's feedback file: his own where it can be one, else with a mark that keeps it apart."""
    safe = re.sub(r"[^\w.@ -]", "_", student).strip(". ")[:60]
    if safe != student:
        safe = f"{safe}-{hashlib.sha256(student.encode()).hexdigest()[:8]}"
    return f"{safe}.html"

"""The marks in a file of words: which English text each Spanish one was made from."""

import re
from collections.abc import Mapping
from pathlib import Path

from simlib.files import in_one_step


def remark(path: Path, marks: Mapping[str, str]) -> int:
    """Write today's marks into a TOML file whose tables begin with ``of = "…"``; how many changed.

    Parameters
    ----------
    path : Path
    marks : mapping
        From the table's name to the mark of its English text; tables that are not named stay as they are.
    """
    text, changed = path.read_text(encoding="utf-8"), 0
    for name, of in marks.items():
        line = re.compile(rf'(?<=^\["{re.escape(name)}"\]\nof = ")[^"\n]*', re.M)
        changed += any(found[0] != of for found in line.finditer(text))
        text = line.sub(of, text)
    if changed:
        with in_one_step(path) as file:
            file.write(text.encode())
    return changed

"""Two languages from one source: which one messages are in, and the Spanish twin of an English text.

Every text of an exercise is written once in English.  Its Spanish twin lies in the same cell's metadata, with the mark
of the English text that it was made from; when the English changes, the mark no longer fits and the tests say so:

    cell.metadata["es"] = {"text": "…", "of": mark("the English text")}
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from simlib.parameters import ParameterError

Language = Literal["en", "es"]
LANGUAGES: tuple[Language, ...] = ("en", "es")


# --- which language -------------------------------------------------------------------------------------------------


def current() -> Language:
    """The language of messages: `SIMLIB_LANG`, else what `choose` kept, else that of the machine, else English."""
    settings = (os.environ.get("SIMLIB_LANG"), _kept(), os.environ.get("LC_ALL"), os.environ.get("LANG"))
    for setting in settings:
        if setting:
            return "es" if setting.lower().startswith("es") else "en"
    return "en"


def choose(language: Language) -> None:
    """Keep the language of messages in ``.simlib/language``, for this folder and every later session.

    Raises
    ------
    ParameterError
        If it is neither "en" nor "es", or cannot be kept here.
    """
    if language not in LANGUAGES:
        raise ParameterError(f'choose: language={language!r} is not possible: it should be "en" or "es".')
    try:
        _path().parent.mkdir(parents=True, exist_ok=True)
        _path().write_text(language + "\n", encoding="utf-8")
    except OSError as error:
        raise ParameterError(
            f"the language cannot be kept in {str(_path())!r} ({error.strerror}); "
            "set the environment variable SIMLIB_LANG instead."
        ) from None


def _path() -> Path:
    return Path(os.environ.get("SIMLIB_HOME") or ".simlib") / "language"


def _kept() -> str:
    try:
        return _path().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def number_in(language: Language, english: str) -> str:
    """A number as English writes it ("12,345.6"), as *language* does ("12 345,6", and "1234,5" without a space)."""
    if language == "en":
        return english
    whole, point, rest = english.partition(".")
    groups = whole.split(",")
    apart = "" if len(groups) == 2 and len(groups[0].lstrip("-")) == 1 else "\N{NO-BREAK SPACE}"
    return apart.join(groups) + ("," if point else "") + rest


# --- twins ----------------------------------------------------------------------------------------------------------


def mark(english: str) -> str:
    """What a twin keeps of the English text that it was made from: twelve digits of its sha256, spaces aside."""
    return hashlib.sha256(" ".join(english.split()).encode()).hexdigest()[:12]


def twin(english: str, metadata: Mapping[str, Any], language: Language) -> str:
    """The text in *language*; the English one where there is no twin."""
    if language == "en":
        return english
    return str(metadata.get(language, {}).get("text", english))


def fault(english: str, metadata: Mapping[str, Any]) -> str:
    """What is wrong with the Spanish twin of a text, "" if nothing is: "missing" or "stale"."""
    kept = metadata.get("es")
    if not isinstance(kept, Mapping) or not str(kept.get("text", "")).strip():
        return "missing"
    return "" if kept.get("of") == mark(english) else "stale"

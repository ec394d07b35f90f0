"""The quiz as Moodle GIFT: a text file that Moodle imports as a question bank, one category a notebook.

The format is that of Moodle's documentation ("GIFT format"): ``~ = # { } :`` in a text are written with a backslash
before them; ``=`` marks the right choice and ``~`` the wrong ones, ``#answer:tolerance`` a number, ``####`` feedback.
"""

import re
from collections.abc import Iterable, Iterator

from simlib.course.quiz import Item, Text
from simlib.languages import Language


def gift(items: Iterable[Item], language: Language) -> str:
    """The items as the content of a GIFT file."""
    return "\n\n".join(_parts(items, language)) + "\n"


def _parts(items: Iterable[Item], language: Language) -> Iterator[str]:
    category = ""
    for item in items:
        own = f"simlib/{item.notebook}"
        if own != category:
            category = own
            yield f"$CATEGORY: {category}"
        yield _question(item, item.text(language), language)


def _question(item: Item, text: Text, language: Language) -> str:
    if item.is_number:
        answers = [f"#{item.answer:g}:{item.tolerance:g}"]
    else:
        answers = [("=" if choice == text.right else "~") + escaped(choice) for choice in item.choices(language)]
    return "\n".join([f"::{item.name}:: {escaped(text.ask)} {{", *answers, f"####{escaped(text.why)}", "}"])


def escaped(text: str) -> str:
    """A text in which nothing has a meaning of its own in GIFT."""
    return re.sub(r"([~=#{}:\\])", r"\\\1", " ".join(text.split()))

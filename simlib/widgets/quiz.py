"""The face of a quiz: each item with its choices or a number field, a button, and what is said after the answer."""

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

import ipywidgets as w  # type: ignore[import-untyped]

from simlib.course import quiz
from simlib.languages import Language
from simlib.words import say

if TYPE_CHECKING:
    from simlib.course.quiz import Item


def sheet(items: "Sequence[Item]", language: Language) -> w.VBox:
    """The items, one below the other; all of it can be reached by keyboard."""
    box = w.VBox([_asked(number, item, language) for number, item in enumerate(items, 1)])
    box.add_class("simlib-quiz")
    return box


def _asked(number: int, item: "Item", language: Language) -> w.VBox:
    heading = w.HTML(f"<p><b>{number}.</b> {html.escape(item.text(language).ask)}</p>")
    if item.is_number:
        field = w.Text(placeholder=say("number", language), layout=w.Layout(width="16em"))
    else:
        # the option's text is its own value; long ones need the whole width
        field = w.RadioButtons(options=item.choices(language), value=None, layout=w.Layout(width="auto"))
    button = w.Button(description=say("save", language))
    line = w.HTML()

    def answered(_: object) -> None:
        nothing = field.value in (None, "")
        line.value = html.escape(say("choose first", language) if nothing else quiz.said(item, field.value, language))

    button.on_click(answered)
    return w.VBox([heading, field, button, line])

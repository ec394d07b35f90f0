"""An explorer's face: sliders, the finding, its picture, its figures in words, as a table, and the code.

For Jupyter and Voilà.
"""

import html
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import ipywidgets as w  # type: ignore[import-untyped]

from simlib.widgets.explorer import figures_told, shortly_told

if TYPE_CHECKING:
    from simlib.widgets.explorer import Answer, Explorer, Knob

_SLIDER = {"layout": w.Layout(width="410px"), "style": {"description_width": "190px"}}

# A widget cannot say what it means to those who hear it, so a script does, once it stands on the page.
_SPOKEN = html.escape(files("simlib.widgets").joinpath("spoken.js").read_text(encoding="utf-8"))
_SPEAK = f'<img alt="" hidden src="data:," onerror="const box = this.parentNode\n{_SPOKEN}this.remove()">'


def face(explorer: "Explorer", start: dict[str, Any]) -> w.VBox:
    """The explorer as a box of widgets; a picture takes the old one's place without flickering."""
    controls = {knob.name: _control(knob, start[knob.name]) for knob in explorer.knobs}
    finding, picture, numbers, code = w.HTML(), w.HTML(), w.HTML(), w.HTML()
    finding.add_class("simlib-finding")

    def values() -> dict[str, Any]:
        return {name: control.value for name, control in controls.items()}

    def answer(_: object = None) -> None:
        found = explorer.answer(**values())
        finding.value = f"<strong>{html.escape(found.finding)}</strong>{_SPEAK}"
        picture.value = _figure(explorer, found)
        numbers.value = _table(found)
        code.value = f'<pre style="overflow-x:auto">{html.escape(explorer.code(**values()))}</pre>'

    for control in controls.values():
        control.observe(answer, names="value")
    answer()
    more = _opened_by_buttons({"The same in numbers": numbers, "The code that gives these numbers": code})
    heading = w.HTML(f"<h3>{html.escape(explorer.title)}</h3><p>{html.escape(explorer.question)}</p>")
    knobs = w.Box(list(controls.values()), layout=w.Layout(flex_flow="row wrap"))
    box = w.VBox([heading, knobs, finding, picture, more])
    box.add_class("simlib-explorer")
    box.add_class(f"simlib-{explorer.name.replace('_', '-')}")
    return box


def _control(knob: "Knob", value: Any) -> w.Widget:
    settings = {"options": list(knob.options), "value": value, "description": knob.label, **_SLIDER}
    if isinstance(knob.options[0], str):
        return w.Dropdown(**settings)
    return w.SelectionSlider(continuous_update=False, **settings)


def _opened_by_buttons(pieces: dict[str, w.HTML]) -> w.VBox:
    """Pieces that stand below the buttons with their names, once these are pressed; an Accordion knows no keyboard."""
    buttons = [w.ToggleButton(description=name, layout=w.Layout(width="auto")) for name in pieces]

    def follow(change: Any) -> None:
        for button, piece in zip(buttons, pieces.values(), strict=True):
            piece.layout.display = None if button.value else "none"

    for button in buttons:
        button.observe(follow, names="value")
    follow(None)
    return w.VBox([w.HBox(buttons), *pieces.values()])


def _figure(explorer: "Explorer", answer: "Answer") -> str:
    words = html.escape(figures_told(answer.numbers))
    drawn = f'<div style="overflow-x:auto">{explorer.picture(answer)}</div>'
    return f'{drawn}<p style="max-width:900px;line-height:1.4">{words}</p>'


def _table(answer: "Answer") -> str:
    return answer.numbers.to_html(float_format=shortly_told, na_rep="–", border=0)

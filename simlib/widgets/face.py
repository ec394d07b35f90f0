"""An explorer's face: sliders, the picture, the words under it, the numbers, and the code, for Jupyter and Voilà."""

import base64
import html
from typing import TYPE_CHECKING, Any

import ipywidgets as w  # type: ignore[import-untyped]

from simlib.widgets.explorer import shortly_told

if TYPE_CHECKING:
    from simlib.widgets.explorer import Answer, Explorer, Knob

_SLIDER = {"layout": w.Layout(width="410px"), "style": {"description_width": "190px"}}


def face(explorer: "Explorer", start: dict[str, Any]) -> w.VBox:
    """The explorer as a box of widgets; a picture takes the old one's place without flickering."""
    controls = {knob.name: _control(knob, start[knob.name]) for knob in explorer.knobs}
    picture, numbers, code = w.HTML(), w.HTML(), w.HTML()

    def values() -> dict[str, Any]:
        return {name: control.value for name, control in controls.items()}

    def answer(_: object = None) -> None:
        found = explorer.answer(**values())
        picture.value = _figure(explorer, found)
        numbers.value = _table(found)
        code.value = f"<pre>{html.escape(explorer.code(**values()))}</pre>"

    for control in controls.values():
        control.observe(answer, names="value")
    answer()
    more = w.Accordion([numbers, code], titles=("The same in numbers", "The code that gives these numbers"))
    heading = w.HTML(f"<h3>{html.escape(explorer.title)}</h3><p>{html.escape(explorer.question)}</p>")
    knobs = w.Box(list(controls.values()), layout=w.Layout(flex_flow="row wrap"))
    box = w.VBox([heading, knobs, picture, more])
    box.add_class("simlib-explorer")
    box.add_class(f"simlib-{explorer.name.replace('_', '-')}")
    return box


def _control(knob: "Knob", value: Any) -> w.Widget:
    settings = {"options": list(knob.options), "value": value, "description": knob.label, **_SLIDER}
    if isinstance(knob.options[0], str):
        return w.Dropdown(**settings)
    return w.SelectionSlider(continuous_update=False, **settings)


def _figure(explorer: "Explorer", answer: "Answer") -> str:
    words = html.escape(" ".join(str(explorer.words(answer)).split()))
    png = base64.b64encode(explorer.picture(answer)).decode("ascii")
    style = "width:900px;max-width:100%;aspect-ratio:900/350;background:white"
    image = f'<img alt="{words}" style="{style}" src="data:image/png;base64,{png}">'
    return f'{image}<p role="status" style="max-width:900px;line-height:1.4">{words}</p>'


def _table(answer: "Answer") -> str:
    return answer.numbers.to_html(float_format=shortly_told, na_rep="–", border=0)

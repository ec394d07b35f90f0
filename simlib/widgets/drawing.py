"""Pictures that answer at once: one panel with its axes, in SVG, drawn in a millisecond.

The notebooks' pictures are matplotlib's, which takes 90 to 170 ms for one such panel: more than most simulations behind
it.  An explorer needs little of it: lines, bands, bars, marks, and labels that keep out of each other's way.  Text is
text and ink is the page's own colour, so a picture is sharp at any size, and dark where the page is dark.
"""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from simlib.plots.style import BLACK

WIDTH, HEIGHT = 900, 330
_LEFT, _TOP, _RIGHT, _BOTTOM = 78.0, 26.0, 846.0, 278.0  # of the panel
_EM = 6.9  # the width of a letter of a label, on the safe side
_INK = "currentColor"
# The page's paper: JupyterLab and Voilà, Visual Studio Code, any other.
_PAPER = "var(--jp-layout-color0,var(--vscode-editor-background,Canvas))"


@dataclass(frozen=True)
class Axis:
    """From *low* to *high*, with its label and unit.

    *names* stand at their positions, instead of numbers; *whole*: it counts, so half of one is no tick.
    """

    label: str
    low: float
    high: float
    log: bool = False
    names: Mapping[float, str] | None = None
    whole: bool = False

    def share(self, values: ArrayLike) -> np.ndarray:
        """How far along the axis each value lies: 0 at *low*, 1 at *high*."""
        ends = np.array([self.low, self.high])
        found = np.asarray(values, dtype=float)
        if self.log:
            # an interval may reach below zero, which lies infinitely far down
            ends, found = np.log10(ends), np.log10(np.maximum(found, 1e-9 * self.low))
        share: np.ndarray = (found - ends[0]) / (ends[1] - ends[0])
        return share

    def ticks(self, most: int) -> dict[float, str]:
        """Where to write what: names, powers of ten, or round numbers, at most about this many."""
        if self.names is not None:
            every = max(1, math.ceil(len(self.names) / 14))
            return dict(list(self.names.items())[::every])
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            every = 1 + (last - first) // most
            between = (1, 2, 5) if last - first < 3 else (1,)
            values = (each * 10.0**k for k in range(first - every, last + 1, every) for each in between)
            return {v: f"{v:,.10g}" for v in values if self.low <= v * (1 + 1e-9) and v <= self.high * (1 + 1e-9)}
        step = max(_round_step((self.high - self.low) / most), 1 if self.whole else 0)
        count = math.floor(self.high / step + 1e-9)
        return {step * k: f"{round(step * k, 12):,.10g}" for k in range(math.ceil(self.low / step - 1e-9), count + 1)}


def _round_step(least: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(least))
    return power * next(each for each in (1, 2, 5, 10) if each * power >= least * (1 - 1e-9))


@dataclass(frozen=True)
class _Label:
    words: str
    x: float
    y: float
    color: str
    below: bool


Box = tuple[float, float, float, float]
"""left, top, right, bottom"""


@dataclass
class Panel:
    """What an explorer draws on.  Positions are in the units of its axes; a colour is one of `simlib.plots.style`."""

    x: Axis
    y: Axis
    right: Axis | None = None
    _clipped: list[str] = field(default_factory=list)
    _above: list[str] = field(default_factory=list)
    _labels: list[_Label] = field(default_factory=list)
    _taken: list[Box] = field(default_factory=list)

    def on_the_right(self, axis: Axis) -> "Panel":
        """The same panel by another vertical axis, which stands on the right."""
        self.right = axis
        return replace(self, y=axis, right=None)

    def line(self, x: ArrayLike, y: ArrayLike, color: str, *, dash: str = "", width: float = 1.8) -> None:
        path = "M" + _points(*self._at(x, y))
        self._clipped.append(
            f'<path d="{path}" fill="none" stroke="{_ink(color)}" stroke-width="{width:g}" stroke-dasharray="{dash}"/>'
        )

    def stairs(self, x: ArrayLike, y: ArrayLike, color: str, *, dash: str = "", width: float = 1.8) -> None:
        """A line that keeps each value until the next *x*."""
        self.line(*_as_stairs(x, y), color, dash=dash, width=width)

    def band(self, x: ArrayLike, low: ArrayLike, high: ArrayLike, color: str, *, opacity: float = 0.3) -> None:
        """The area between two lines."""
        x = np.asarray(x, dtype=float)
        there, back = (
            self._at(x, np.broadcast_to(high, x.shape)),
            self._at(x[::-1], np.broadcast_to(low, x.shape)[::-1]),
        )
        path = f"M{_points(*there)}L{_points(*back)}Z"
        self._clipped.append(f'<path d="{path}" fill="{_ink(color)}" fill-opacity="{opacity:g}"/>')

    def area(self, x: ArrayLike, y: ArrayLike, color: str, *, opacity: float = 0.35) -> None:
        """The area below stairs."""
        x, y = _as_stairs(x, y)
        self.band(x, np.full(len(x), self.y.low), y, color, opacity=opacity)

    def bars(self, y: ArrayLike, begin: ArrayLike, end: ArrayLike, color: str, *, height: float) -> None:
        """Horizontal bars; *height* in units of the vertical axis."""
        left, at = self._at(begin, y)
        until, _ = self._at(end, y)
        thick = abs(height * (_BOTTOM - _TOP) / (self.y.high - self.y.low))
        path = "".join(f"M{a:.1f} {b:.1f}H{c:.1f}" for a, b, c in zip(left, at, until, strict=True))
        self._clipped.append(f'<path d="{path}" stroke="{_ink(color)}" stroke-width="{thick:.1f}"/>')

    def upright(self, x: float, *, dash: str = "5 4") -> None:
        """A line through the whole height."""
        self.line([x, x], [self.y.low, self.y.high], BLACK, dash=dash, width=1.2)

    def level(self, y: float, color: str = BLACK, *, dash: str = "") -> None:
        """A line through the whole width."""
        self.line([self.x.low, self.x.high], [y, y], color, dash=dash, width=1.2)

    def mark(self, x: float, y: float, color: str, *, diamond: bool = False) -> None:
        left, top = (float(each[0]) for each in self._at([x], [y]))
        path = f"M{left - 7:.1f} {top:.1f}l7 -7l7 7l-7 7z" if diamond else f"M{left:.1f} {top:.1f}h.01"
        drawn = f'<path d="{path}" fill="{_ink(color)}"'
        self._above.append(
            drawn + ("/>" if diamond else f' stroke="{_ink(color)}" stroke-width="9" stroke-linecap="round"/>')
        )
        self._taken.append((left - 5, top - 5, left + 5, top + 5))

    def label(self, words: str, x: float, y: float, color: str = BLACK, *, below: bool = False) -> None:
        """Words close to a point, where there is room: by default above it and to the right."""
        left, top = (float(each[0]) for each in self._at([x], [y]))
        self._labels.append(_Label(words, left, top, color, below))

    def beside(self, words: str, x: float, y: float) -> None:
        """Words to the right of the end of a bar, and in its middle."""
        left, top = (float(each[0]) for each in self._at([x], [y]))
        left = min(left + 7, _RIGHT + 46 - _EM * len(words))
        self._above.append(_text(words, left, top + 4))

    def remark(self, lines: Sequence[str]) -> None:
        """Lines in the corner on the upper right."""
        for k, words in enumerate(lines):
            top = _TOP + 16 + 17 * k
            self._above.append(_text(words, _RIGHT - 6, top, anchor="end"))
            self._taken.append((_RIGHT - 6 - _EM * len(words), top - 12, _RIGHT, top + 4))

    def key(self, colors: Mapping[str, str]) -> None:
        """What each colour means, in a line over the panel."""
        left = _LEFT
        for words, color in colors.items():
            self._above.append(f'<rect x="{left:.0f}" y="8" width="11" height="11" fill="{_ink(color)}"/>')
            self._above.append(_text(words, left + 16, 18))
            left += 34 + _EM * len(words)

    def svg(self, alt: str) -> str:
        """The picture; *alt* is what is read to those who do not see it."""
        head = (
            f'<svg role="img" aria-label="{html.escape(alt)}" viewBox="0 0 {WIDTH} {HEIGHT}" font-size="13" '
            f'style="width:{WIDTH}px;max-width:100%;min-width:540px;display:block;font-family:system-ui,sans-serif">'
        )
        wide, high = _RIGHT - _LEFT, _BOTTOM - _TOP
        window = f'x="{_LEFT}" y="{_TOP}" width="{wide}" height="{high}" viewBox="{_LEFT} {_TOP} {wide} {high}"'
        seen = f'<svg aria-hidden="true" {window}>{"".join(self._clipped)}</svg>'
        return head + self._frame() + seen + "".join(self._above) + self._placed() + "</svg>"

    def _at(self, x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """In pixels."""
        return _LEFT + (_RIGHT - _LEFT) * self.x.share(x), _BOTTOM - (_BOTTOM - _TOP) * self.y.share(y)

    def _frame(self) -> str:
        """Grid, axes, ticks and their labels."""
        drawn, grid = [], []
        for value, words in self.x.ticks(9).items():
            at = float(self._at([value], [self.y.low])[0][0])
            grid.append(f"M{at:.1f} {_TOP}V{_BOTTOM}")
            drawn.append(_text(words, at, _BOTTOM + 18, anchor="middle"))
        for value, words in self.y.ticks(6).items():
            at = _BOTTOM - (_BOTTOM - _TOP) * float(self.y.share(value))
            grid.append(f"M{_LEFT} {at:.1f}H{_RIGHT}")
            drawn.append(_text(words, _LEFT - 7, at + 4, anchor="end"))
        for value, words in (self.right.ticks(6) if self.right else {}).items():
            at = _BOTTOM - (_BOTTOM - _TOP) * float(self.right.share(value)) if self.right else 0
            drawn.append(_text(words, _RIGHT + 7, at + 4))
        middle = (_TOP + _BOTTOM) / 2
        drawn.append(_text(self.x.label, (_LEFT + _RIGHT) / 2, _BOTTOM + 42, anchor="middle"))
        drawn.append(_text(self.y.label, 14, middle, anchor="middle", turned=-90))
        drawn.append(_text(self.right.label, WIDTH - 12, middle, anchor="middle", turned=-90) if self.right else "")
        axes = f"M{_LEFT} {_TOP}V{_BOTTOM}H{_RIGHT}" + (f"V{_TOP}" if self.right else "")
        return (
            f'<path d="{"".join(grid)}" stroke="{_INK}" stroke-opacity=".14"/>'
            f'<path d="{axes}" fill="none" stroke="{_INK}"/>' + "".join(drawn)
        )

    def _placed(self) -> str:
        """Each label at the first of its places that nothing else has taken."""
        taken, drawn = list(self._taken), []
        for each in self._labels:
            places = list(_places(each))
            box = next((place for place in places if not any(_meet(place, other) for other in taken)), places[0])
            taken.append(box)
            drawn.append(_text(each.words, box[0], box[3] - 4, color=each.color))
        return "".join(drawn)


def _places(label: _Label) -> "list[Box]":
    """Where it may stand, the best first: inside the panel, above or below its point, then farther and farther away."""
    width = _EM * (len(label.words) + 2)
    rows = [-7 - 17 * k for k in range(14)], [21 + 17 * k for k in range(14)]
    first, second = rows[::-1] if label.below else rows
    found = []
    for pair in zip(first, second, strict=True):
        for down in pair:
            bottom = min(max(label.y + down, _TOP + 16), _BOTTOM - 1)
            for left in (label.x + 6, label.x - width - 6):
                left = min(max(left, _LEFT + 4), _RIGHT + 44 - width)
                found.append((left, bottom - 15, left + width, bottom))
    return found


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _text(words: str, x: float, y: float, *, anchor: str = "start", turned: int = 0, color: str = "") -> str:
    """Ink on a seam of paper, so that it can be read across a line; a patch of colour says whose label it is."""
    patch = f'<tspan fill="{color}">■</tspan> ' if color not in ("", BLACK) else ""
    turn = f' transform="rotate({turned} {x:.0f} {y:.0f})"' if turned else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turn} fill="{_INK}" paint-order="stroke" '
        f'stroke-width="3" style="stroke:{_PAPER}">{patch}{html.escape(words)}</text>'
    )


def _ink(color: str) -> str:
    return _INK if color == BLACK else color


def _as_stairs(x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.asarray(x, dtype=float), 2)[1:], np.repeat(np.asarray(y, dtype=float), 2)[:-1]


def _points(x: np.ndarray, y: np.ndarray) -> str:
    """Points of a path; of those on one pixel, the first, so that thousands take no more room than their line."""
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) > 400:
        cells = np.round(np.column_stack([x, y]))
        moved = np.append(True, np.any(cells[1:] != cells[:-1], axis=1))
        moved[-1] = True
        x, y = x[moved], y[moved]
    return "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))

"""The whole run as one strip, in SVG: what a reader sees before anything moves, and where nothing can."""

import numpy as np
import pandas as pd

WIDTH, ROW = 860, 46


def strip(frames: pd.DataFrame, machines: str) -> str:
    """Requests and errors, callers inside, instances or containers, dollars: four rows over the same time."""
    inside = frames["waiting"] + frames["running"].fillna(0)
    there = frames["serving"] + frames["draining"]
    rows = (
        ("requests", frames["requests"], "flow", frames["errors"]),
        ("callers inside", inside, "queue", None),
        (machines, there, "fleet", None),
        ("dollars", frames["usd"], "money", None),
    )
    drawn = "".join(_row(k, *row) for k, row in enumerate(rows))
    height = ROW * len(rows)
    return (
        f'<svg id="strip" viewBox="0 0 {WIDTH} {height}" aria-hidden="true">{drawn}'
        f'<line id="now" x1="0" x2="0" y1="0" y2="{height}"/></svg>'
    )


def _row(k: int, name: str, values: pd.Series, kind: str, errors: pd.Series | None) -> str:
    top, most = ROW * k, max(float(values.max()), 1e-12)
    told = f"{name}: at most {most:,.4g}" if most > 1e-9 else f"{name}: none"
    areas = _area(values, most, top, kind) + ("" if errors is None else _area(errors, most, top, "errors"))
    return f'{areas}<text x="4" y="{top + 13}">{told}</text>'


def _area(values: pd.Series, most: float, top: int, kind: str) -> str:
    """A stair, so that each step of time is as wide as another."""
    x = np.repeat(np.linspace(0, WIDTH, len(values) + 1), 2)[1:-1]
    y = np.repeat(top + ROW - 3 - (ROW - 20) * values.to_numpy(dtype=float) / most, 2)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return f'<polygon class="{kind}" points="0,{top + ROW - 3} {points} {WIDTH},{top + ROW - 3}"/>'

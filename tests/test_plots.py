"""Pictures say in words what they show, in lines that fit the page."""

from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from simlib import plots


@pytest.fixture(autouse=True)
def no_window() -> Iterator[None]:
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


def axes() -> "mpl.axes.Axes":
    import matplotlib.pyplot as plt

    return plt.gcf().axes[0]


def test_words_are_shown_without_quotes_and_wrapped() -> None:
    words = plots.Words("many " * 40)
    assert repr(words) == str(words)
    assert max(map(len, repr(words).splitlines())) <= 90


def test_the_tail_of_latency() -> None:
    words = plots.tail(np.arange(1, 1001) / 100)
    assert words == "Half are answered within 5 s, 99 in 100 within 9.9 s."
    assert axes().get_xlabel() == "latency [s]"


def test_tails_beside_each_other_are_named() -> None:
    values = np.arange(1, 1001) / 100
    words = plots.tail({"one": values, "none": np.empty(0)}, title="A finding")
    assert words == "one: half are answered within 5 s, 99 in 100 within 9.9 s. none was answered."
    assert axes().get_title(loc="left") == "A finding"


@pytest.mark.parametrize("values", [np.empty(0), np.zeros(5)], ids=["no answers", "no time at all"])
def test_a_tail_of_nothing(values: np.ndarray) -> None:
    plots.tail(values)


def test_latency_against_load() -> None:
    figures = pd.DataFrame({"p50": [0.1, 0.2], "p99": [0.4, 2.0]}, index=[0.5, 0.95])
    exact = pd.Series([0.3, 1.8], index=figures.index, name="theory")
    words = plots.against_load(figures, title="A wall", limit=0.5, exact=exact)
    assert words == "p99 is 0.4 s at 50 % busy and 2 s at 95 %: 5 times as long. It keeps 0.5 s up to 50 % busy."
    assert plots.against_load(figures, title="A wall", limit=0.3).endswith("It never keeps 0.3 s.")


def test_a_ring_of_stages() -> None:
    words = plots.cycle({"Build": "Does it work?", "Run": "Does it last?"}, now=["Run"], title="A loop")
    assert words == "A loop: Build → Run → Build again."

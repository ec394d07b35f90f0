"""Lines over days or rows: they are drawn where the numbers are, and told in words."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

import simlib as sl

mpl.use("Agg")
import matplotlib.pyplot as plt

FRAME = pd.DataFrame({"seen": [0.1, 0.4, 0.2], "true": [0.3, np.nan, 0.5]}, index=[1, 10, 100])


def test_lines_are_the_columns_and_words_tell_them() -> None:
    words = sl.plots.lines(FRAME, x="day", y="share", title="It rises", limit=0.25, marks={"change": 10.0})
    ax = plt.gcf().axes[0]
    drawn = {line.get_label(): line.get_ydata() for line in ax.get_lines()}
    assert np.array_equal(drawn["seen"], FRAME["seen"])
    assert np.array_equal(drawn["true"], FRAME["true"], equal_nan=True)
    assert ax.get_title(loc="left") == "It rises"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("day", "share")
    assert [text.get_text().strip() for text in ax.texts] == ["change"]
    flat = " ".join(str(words).split())
    assert flat == (
        "seen: 0.1 at day 1, 0.2 at 100, between 0.1 and 0.4; above 0.25 in 1 of 3. "
        "true: 0.3 at day 1, 0.5 at 100; above 0.25 in 2 of 2."
    )
    plt.close("all")


def test_a_logarithmic_axis() -> None:
    sl.plots.lines(FRAME, x="rows", y="share", log_x=True)
    assert plt.gcf().axes[0].get_xscale() == "log"
    plt.close("all")


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (FRAME[::-1], "increasing order"),
        (FRAME.set_axis(["a", "b", "c"]), "the index of frame should be numbers"),
        (FRAME.assign(seen="x"), "'seen'"),
        ([1, 2], "DataFrame"),
        (FRAME[:0], "empty"),
    ],
)
def test_one_sentence(frame: object, said: str) -> None:
    with pytest.raises(sl.ParameterError, match=said):
        sl.plots.lines(frame, x="day", y="share")


def test_a_logarithm_of_nothing() -> None:
    with pytest.raises(sl.ParameterError, match="above 0"):
        sl.plots.lines(FRAME.set_axis([0, 1, 2]), x="rows", y="share", log_x=True)

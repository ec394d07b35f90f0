"""Who comes: a loan book, a fashion shop with seasons, payments with a fraudster who learns, and any frame of yours.

Each source makes people from uniform random numbers and knows what is true of them:

- `LoanBook` and `FashionShop` know the chance of a positive label of any customer, so one whose world has changed gets
  the label that belongs to the new world;
- `Fraud` and `Table` bring the label with the row: there a change of the inputs leaves it as it was.
"""

from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field, PlainValidator
from scipy.special import expit, logit, ndtri

from simlib.monitoring.profiles import check_frame
from simlib.parameters import Count, NonNegative, ParameterError, Positive, Share, Text, config, nearest

Score = Callable[[pd.DataFrame], np.ndarray]
Rate = Annotated[Share, Field(gt=0, lt=1)]
YEAR_DAYS = 365.0


class Source:
    """What every source has.

    Attributes
    ----------
    inputs, label : names of the columns
    draws : int
        Uniform random numbers a row takes.
    rotates : bool
        Whether there is a boundary that a `ConceptDrift` can rotate.
    """

    inputs: Sequence[str]
    label: str | None
    draws: int
    rotates = False

    def people(self, days: np.ndarray, u: np.ndarray, score: Score | None) -> pd.DataFrame:
        """Who comes at *days*, from uniform numbers *u* of shape (n, draws); *score* is the model they meet."""
        raise NotImplementedError

    def chance(self, frame: pd.DataFrame, days: np.ndarray, turned: np.ndarray) -> np.ndarray:
        """The chance of a positive label; *turned* degrees the boundary has been rotated by."""
        return frame[self.label].to_numpy(dtype=float)


def _normal(u: np.ndarray) -> np.ndarray:
    """Standard normal numbers from uniform ones."""
    return np.asarray(ndtri(np.clip(u, 1e-12, 1 - 1e-12)))


def _chosen(u: np.ndarray, shares: dict[str, float]) -> np.ndarray:
    """Categories from uniform numbers."""
    names = np.array(list(shares), dtype=object)
    edges = np.cumsum(list(shares.values()))[:-1]
    found: np.ndarray = names[np.searchsorted(edges, u, side="right")]
    return found


def _weighted(z1: np.ndarray, z2: np.ndarray, weights: tuple[float, float], turned: np.ndarray) -> np.ndarray:
    """w · z after the weights have turned by so many degrees."""
    angle = np.deg2rad(turned)
    w1, w2 = weights
    return (w1 * np.cos(angle) - w2 * np.sin(angle)) * z1 + (w1 * np.sin(angle) + w2 * np.cos(angle)) * z2


@config
class LoanBook(Source):
    """Applications for loans; positive label: the loan defaults.

    income [thousands a year] and debt_ratio decide most, with years_employed and purpose; age and gender tell little;
    form_minutes (how long the form took) nothing at all.

    Parameters
    ----------
    default_rate : share
        Of the loans that default, about, before any drift (0.05 gives 0.04; from 0.2 to 0.9 it is met to 0.005).
    """

    default_rate: Rate = 0.25
    inputs = ("income", "debt_ratio", "years_employed", "age", "form_minutes", "purpose", "gender")
    label = "defaulted"
    draws = 7
    rotates = True

    def people(self, days: np.ndarray, u: np.ndarray, score: Score | None) -> pd.DataFrame:
        """Applicants; the law is the same every day."""
        age = 18 + 57 * u[:, 3] ** 1.3
        return pd.DataFrame(
            {
                "income": np.exp(3.5 + 0.45 * _normal(u[:, 0])).round(2),
                "debt_ratio": expit(-0.8 + 0.8 * _normal(u[:, 1])).round(4),
                "years_employed": np.minimum(-7 * np.log1p(-u[:, 2]), age - 17).round(1),
                "age": np.floor(age).astype(int),
                "form_minutes": np.exp(2 + 0.5 * _normal(u[:, 4])).round(1),
                "purpose": _chosen(u[:, 5], {"car": 0.4, "home": 0.3, "education": 0.2, "other": 0.1}),
                "gender": np.where(u[:, 6] < 0.5, "woman", "man"),
            }
        )

    def chance(self, frame: pd.DataFrame, days: np.ndarray, turned: np.ndarray) -> np.ndarray:
        """Logistic in log income, the logit of the debt ratio, years employed and purpose."""
        income = (np.log(np.maximum(frame["income"].to_numpy(dtype=float), 0.1)) - 3.5) / 0.45
        ratio = np.clip(frame["debt_ratio"].to_numpy(dtype=float), 1e-4, 1 - 1e-4)
        debt = (np.log(ratio / (1 - ratio)) + 0.8) / 0.8
        years = (frame["years_employed"].to_numpy(dtype=float) - 6) / 6
        purpose = frame["purpose"].map({"car": 0.0, "home": -0.4, "education": 0.2, "other": 0.6}).fillna(1.0)
        odds = _weighted(income, debt, (-1.4, 1.4), turned) - 0.5 * years + purpose.to_numpy(dtype=float)
        # averaged over applicants, a logistic curve is flatter than itself: the factor makes up for that
        return np.asarray(expit(odds + 1.64 * logit(self.default_rate)))


@config
class FashionShop(Source):
    """Visits to a shop's product pages through the year; positive label: the visitor buys.

    What is warm sells when it is cold, so a model of one season meets another one's visitors.  Day 0 is a day
    *start_day* of the year.

    Parameters
    ----------
    start_day : float
        Day of the year on which the stream begins; 0 is 1 January, 180 the end of June.
    """

    start_day: NonNegative = 180.0
    inputs = ("temperature", "price", "discount", "returning", "product")
    label = "bought"
    draws = 5
    rotates = True

    def people(self, days: np.ndarray, u: np.ndarray, score: Score | None) -> pd.DataFrame:
        """Visitors: what they look at goes with the season; in January and July there are sales."""
        year = 2 * np.pi * (days + self.start_day - 15) / YEAR_DAYS
        warmth = -np.cos(year)  # −1 in mid-January, 1 in mid-July
        coat = 0.25 - 0.2 * warmth
        dress = 0.25 + 0.2 * warmth
        at = np.stack([coat, coat + dress, coat + dress + 0.3], axis=1)
        products = np.array(["coat", "dress", "shoes", "bag"], dtype=object)
        product = products[(u[:, 4, None] >= at).sum(axis=1)]
        base = pd.Series(product).map({"coat": 120.0, "dress": 60.0, "shoes": 80.0, "bag": 50.0}).to_numpy(dtype=float)
        sale = 0.3 * np.abs(np.cos(year)) ** 6
        return pd.DataFrame(
            {
                "temperature": (14 + 9 * warmth + 4 * _normal(u[:, 0])).round(1),
                "price": (base * np.exp(0.3 * _normal(u[:, 1]))).round(2),
                "discount": np.where(u[:, 2] < sale, 0.3, 0.0),
                "returning": (u[:, 3] < 0.4).astype(int),
                "product": product,
            }
        )

    def chance(self, frame: pd.DataFrame, days: np.ndarray, turned: np.ndarray) -> np.ndarray:
        """Logistic in how well the product suits the weather, in log price, discount and whether they know the shop."""
        warm = (frame["temperature"].to_numpy(dtype=float) - 14) / 7.5
        wanted = frame["product"].map({"coat": -1.0, "dress": 1.0}).fillna(0.0).to_numpy(dtype=float)
        price = (np.log(np.maximum(frame["price"].to_numpy(dtype=float), 1.0)) - 4.3) / 0.4
        rest = 2.5 * frame["discount"].to_numpy(dtype=float) + 0.8 * frame["returning"].to_numpy(dtype=float)
        return np.asarray(expit(-1.2 + _weighted(wanted * warm, price, (1.6, -0.8), turned) + rest))


@config
class Fraud(Source):
    """Card payments; positive label: fraud.  The fraudsters learn what the model lets through.

    Each fraudster thinks of `tries` payments.  Who has learned sends the one that the model scores lowest; of them
    there are ever more: 1 − exp(−t / learning_days) after t days.  Without a model, or with `tries` = 1, nobody learns.

    Parameters
    ----------
    fraud_rate : share
        Of the payments.
    tries : int
        Payments a fraudster thinks of.
    learning_days : float
        Mean time until a fraudster has learned [days].
    since_day : float
        When the model they have to learn went live [days].
    """

    fraud_rate: Rate = 0.03
    tries: Count = field(default=5, kw_only=True)
    learning_days: Positive = field(default=10.0, kw_only=True)
    since_day: NonNegative = field(default=0.0, kw_only=True)
    inputs = ("amount", "hour", "distance_km", "minutes_since_last", "merchant")
    label = "fraud"

    @property
    def draws(self) -> int:  # type: ignore[override]
        """Two for whether a row is fraud and whether its sender has learned, and five for each payment thought of."""
        return 2 + 5 * self.tries

    def people(self, days: np.ndarray, u: np.ndarray, score: Score | None) -> pd.DataFrame:
        """Payments, with the label."""
        fraud = u[:, 0] < self.fraud_rate
        sent = self._payments(u[:, 2:7], fraud)
        learned = 1 - np.exp(-np.maximum(days - self.since_day, 0.0) / self.learning_days)
        wise = np.flatnonzero(fraud & (u[:, 1] < learned))
        if score is not None and len(wise) and self.tries > 1:
            thought = [self._payments(u[wise, 2 + 5 * k : 7 + 5 * k], fraud[wise]) for k in range(self.tries)]
            best = np.argmin([score(each) for each in thought], axis=0)
            rows = np.arange(len(sent))
            rows[wise] = len(sent) + best * len(wise) + np.arange(len(wise))
            sent = pd.concat([sent, *thought], ignore_index=True).iloc[rows].reset_index(drop=True)
        return sent.assign(fraud=fraud.astype(int))

    def _payments(self, u: np.ndarray, fraud: np.ndarray) -> pd.DataFrame:
        z = _normal(u[:, :4])
        return pd.DataFrame(
            {
                "amount": np.exp(3.4 + 1.1 * fraud + 0.9 * z[:, 0]).round(2),
                "hour": np.mod(14 - 9 * fraud + 4.5 * z[:, 1], 24).round(2),
                "distance_km": np.exp(1.5 + 1.6 * fraud + 1.1 * z[:, 2]).round(2),
                "minutes_since_last": np.exp(5.5 - 1.8 * fraud + 1.2 * z[:, 3]).round(1),
                "merchant": np.where(
                    fraud,
                    _chosen(u[:, 4], {"grocery": 0.1, "travel": 0.2, "electronics": 0.4, "online": 0.3}),
                    _chosen(u[:, 4], {"grocery": 0.5, "travel": 0.15, "electronics": 0.1, "online": 0.25}),
                ),
            }
        )


def _table(value: object) -> pd.DataFrame:
    try:
        return check_frame("Table", value)
    except ParameterError as error:
        raise ValueError(str(error).removeprefix("Table: ")) from None


@config
class Table(Source):
    """Rows of a frame of yours, drawn with replacement.

    Parameters
    ----------
    frame : DataFrame
        At least one row.
    target : str or None
        The column of the label (0 or 1); all others are inputs.  None: there is no label.
    time : str or None
        A column that says when a row may come [days since the start of the stream]: then each request gets the row
        whose time is the last one before its own, and a frame in order of time is played as it happened.  It is no
        input.
    """

    frame: Annotated[Any, PlainValidator(_table)]
    target: Text | None = field(default=None, kw_only=True)
    time: Text | None = field(default=None, kw_only=True)
    draws = 1

    def __post_init__(self) -> None:
        for name in (self.target, self.time):
            if name is not None and name not in self.frame.columns:
                raise ValueError(f"frame has no column {name!r}; {nearest(name, self.frame.columns)}")
        if self.target is not None and not self.frame[self.target].isin([0, 1]).all():
            raise ValueError(f"frame: the label {self.target!r} should be 0 or 1 in every row.")
        if self.time is not None and not self.frame[self.time].is_monotonic_increasing:
            raise ValueError(f"frame: the times in {self.time!r} should be numbers in increasing order.")
        if not self.inputs:
            raise ValueError("frame has no input columns left.")

    @property
    def inputs(self) -> tuple[str, ...]:  # type: ignore[override]
        """All columns but the label and the time."""
        return tuple(name for name in self.frame.columns if name not in (self.target, self.time))

    @property
    def label(self) -> str | None:  # type: ignore[override]
        """The column of the label."""
        return self.target

    def people(self, days: np.ndarray, u: np.ndarray, score: Score | None) -> pd.DataFrame:
        """Rows of the frame."""
        if self.time is None:
            picked = (u[:, 0] * len(self.frame)).astype(int)
        else:
            times = self.frame[self.time].to_numpy(dtype=float)
            picked = np.maximum(np.searchsorted(times, days, side="right") - 1, 0)
        columns = [*self.inputs, *([self.target] if self.target else [])]
        return self.frame[columns].iloc[picked].reset_index(drop=True)

"""The audit for everybody: one page, no jargon, and no number where too few people stand behind it.

Whoever reads it knows neither metrics nor intervals.  So shares are counts of people, each difference comes with one of
three verdicts, and what the page cannot know stands on it.
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from simlib.fairness.groups import Question, tabulate
from simlib.fairness.markup import picture, table, text
from simlib.fairness.predictions import rates

if TYPE_CHECKING:
    from simlib.fairness.audit import Audit

_FEW = 10  # people, on either side, below whom nothing is said
_MANY = 6  # groups; with more the table alone fits on the page
_DECISIONS = (
    ("DPPL", "accepted", "accepted"),
    ("RD", "recall", "accepted, of those who deserve it"),
    ("DFPR", "false_positive", "accepted, of the undeserving"),
)  # fmt: skip
_LABELS = (("DPL", "labelled", "with a good label"),)
_CHANCE, _NO_CHANCE, _TOO_FEW = "may be chance", "hardly chance", "too few to tell"


class Comparison(NamedTuple):
    """One share of a group and of everybody else, as counts, and what may be concluded."""

    what: str
    they: tuple[int, int]
    others: tuple[int, int]
    verdict: str

    def __str__(self) -> str:
        they, others = _share(*self.they), _share(*self.others)
        return f"{they}; others {others}{': ' if self.verdict else ''}{self.verdict}"


def stakeholder(audit: "Audit") -> str:
    """The page."""
    found = {named(question): _compared(audit, facet) for facet, question in audit.questions.items()}
    short = "".join(f"<li>{text(_in_short(who, lines))}</li>" for who, lines in found.items())
    header = ["group", *(comparison.what for comparison in next(iter(found.values())))]
    rows = [(who, *map(str, lines)) for who, lines in found.items()]
    subject = "people and the decisions about them" if audit.after else "people and their labels"
    return (
        f"<p>{len(audit.frame):,} {subject} were examined. Each group is compared with everybody else.</p>"
        f"<ul class=big>{short}</ul>"
        f"{table('Each group and everybody else', header, rows)}"
        f"{_bars({who: lines[0] for who, lines in found.items()}) if len(found) <= _MANY else ''}"
        "<p><strong>What this does not say:</strong> whether past decisions, which serve as the yardstick of who "
        "deserves it, were just; and why the groups differ. That needs people who know the case.</p>"
    )


def named(question: Question) -> str:
    """A group as people say it: "gender: woman", "age: above 60"."""
    if question.facet_kind == "continuous":
        return f"{question.facet}: above {question.disadvantaged:g}"
    return f"{question.facet}: {' or '.join(str(value) for value in question.disadvantaged)}"


def _compared(audit: "Audit", facet: str) -> list[Comparison]:
    """The comparisons of one group: of decisions, or where there are none, of labels."""
    cells = tabulate(audit.frame, audit.questions[facet], "audit")
    of_labels = cells.outcomes(predicted=False).sum(axis=-2)
    by_rate: dict[str, Any] = {"labelled": (of_labels[..., 1], of_labels.sum(axis=-1))}
    if audit.after:
        by_rate |= rates(cells)
    metrics = audit.after.get(facet, audit.before[facet])
    comparisons = []
    for metric, rate, what in _DECISIONS if audit.after else _LABELS:
        (a, d), (n_a, n_d) = by_rate[rate]
        low, high = (float(metrics[end].loc[metric]) for end in ("low", "high"))
        verdict = _verdict(min(n_a, n_d), low, high, asked=audit.bootstrap > 0)
        comparisons.append(Comparison(what, (int(d), int(n_d)), (int(a), int(n_a)), verdict))
    return comparisons


def _verdict(fewest: int, low: float, high: float, *, asked: bool) -> str:
    if fewest < _FEW or (asked and math.isnan(low)):
        return _TOO_FEW
    if math.isnan(low):
        return ""
    return _CHANCE if low <= 0 <= high else _NO_CHANCE


def _share(some: int, of: int) -> str:
    if of < 100:
        return f"{some} of {of}"
    return f"{100 * some / of:.0f} in 100" if 200 * some >= of or not some else "less than 1 in 100"


def _in_short(who: str, lines: list[Comparison]) -> str:
    clear = [line for line in lines if line.verdict == _NO_CHANCE]
    if clear:
        told = "; ".join(_direction(line) for line in clear)
        return f"{who} – a difference that is hardly chance: {told}."
    if all(line.verdict == _TOO_FEW for line in lines):
        return f"{who} – too few people to tell."
    if not any(line.verdict for line in lines):
        return f"{who} – how far chance may explain the difference was not examined."
    return f"{who} – no difference beyond what chance may do."


def _direction(line: Comparison) -> str:
    they, others = line.they[0] / line.they[1], line.others[0] / line.others[1]
    often = "less often" if they < others else "more often"
    return f"{often} {line.what} ({_share(*line.they)}, others {_share(*line.others)})"


def _bars(first: dict[str, Comparison]) -> str:
    """The first share of each group as two bars; the figures stand beside them, so colour says nothing alone."""
    drawn, words, y = [], [], 4
    for who, line in first.items():
        drawn.append(f'<text x="0" y="{y + 13}" font-weight="600">{text(who)}</text>')
        for name, (some, of), colour in (("they", line.they, "#b34700"), ("others", line.others, "#0b4a6f")):
            y += 18
            if of:
                width = 380 * some / of
                drawn.append(
                    f'<text x="12" y="{y + 13}">{name}</text>'
                    f'<rect x="70" y="{y + 2}" width="{width:.1f}" height="13" fill="{colour}"/>'
                    f'<text x="{78 + width:.1f}" y="{y + 13}">{_share(some, of)}</text>'
                )
        y += 26
        words.append(f"{who} {_share(*line.they)}, others {_share(*line.others)}")
    what = next(iter(first.values())).what
    return picture(f"Bar chart, {what}: {'; '.join(words)}.", "".join(drawn), height=y, caption=what.capitalize())

"""What may go wrong with an attempt at a step, and who tries again, when, and how often."""

from dataclasses import field
from typing import Literal

from simlib.parameters import Count, NonNegative, Positive, Share, Text, config

BEFORE_IT_RUNS = ("SageMaker.CAPACITY_ERROR", "SageMaker.RESOURCE_LIMIT", "Step.THROTTLING", "Step.SERVICE_FAULT")
"""Exceptions that come before a machine runs: such an attempt takes its start-up time and costs nothing."""

OF_THE_SERVICE = ("Step.SERVICE_FAULT", "Step.THROTTLING")
"""What SageMaker tries again without being told (AWS developer guide)."""

TIMED_OUT = "Simlib.TIMED_OUT"
RAISED = "Simlib.RAISED"
"""Reasons for which the guide knows no exception type: the attempt exceeded its time, or its own Python raised."""


@config
class Failure:
    """One attempt in 1 / *probability* fails with *exception*, independently of the others.

    `after` is the share of its work that the attempt has done by then, and that is paid for; exceptions that come
    before a machine runs cost nothing.  That attempts fail independently is an assumption.
    """

    probability: Share
    exception: Text = "SageMaker.JOB_INTERNAL_ERROR"
    after: Share = 1.0


@config
class RetryPolicy:
    """Try again after certain exceptions: wait interval · backoff^(k − 1) after the k-th failure.

    Parameters
    ----------
    exceptions : tuple of str
        Exception types as SageMaker names them; "*" is every one.
    interval_s, backoff_rate : float
        First wait [s] and the factor from wait to wait; 1 and 2 on SageMaker (developer guide).
    max_attempts : int or None
        Attempts at most, the first one included, so that n attempts that fail with probability p are expected to be
        (1 − pⁿ) / (1 − p).  Assumption: the guide does not say whether its MaxAttempts (5, at most 20) counts it.
    expire_after_min : float or None
        Or: no new attempt so many minutes after the first one began (at most 14,400).  One of the two, not both.
    max_interval_s : float or None
        No wait is longer; KFP's backoffMaxDuration, one hour there.
    """

    exceptions: tuple[Text, ...] = ("*",)
    interval_s: NonNegative = field(default=1.0, kw_only=True)
    backoff_rate: Positive = field(default=2.0, kw_only=True)
    max_attempts: Count | None = field(default=None, kw_only=True)
    expire_after_min: Positive | None = field(default=None, kw_only=True)
    max_interval_s: NonNegative | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.max_attempts is not None and self.expire_after_min is not None:
            raise ValueError("give max_attempts or expire_after_min, not both.")

    @property
    def attempts_at_most(self) -> float:
        """How many attempts there may be: 5 where neither limit is given, as on SageMaker."""
        if self.max_attempts is None:
            return 5 if self.expire_after_min is None else float("inf")
        return self.max_attempts

    def wait_s(self, exception: str, attempt: int, since_first_s: float) -> float | None:
        """How long to wait after attempt number *attempt* failed so, or None if this policy gives up."""
        if not ({exception, "*"} & set(self.exceptions)) or attempt >= self.attempts_at_most:
            return None
        wait = min(self.interval_s * self.backoff_rate ** (attempt - 1), self.max_interval_s or float("inf"))
        if self.expire_after_min is not None and since_first_s + wait > 60 * self.expire_after_min:
            return None
        return wait


SERVICE_RETRIES = RetryPolicy(OF_THE_SERVICE)
"""SageMaker's own retries; their number and pace are not documented, so the defaults of a policy (assumption)."""

OnFailure = Literal["finish_running", "continue", "stop"]
"""After a step has failed for good: start nothing new, go on with what does not need it, or stop what runs.

"finish_running" is an assumption for SageMaker; "continue" is Azure's continue_on_step_failure.
"""

"""How many machines of a type an account may use at once: jobs of all its executions queue for them."""

from collections.abc import Mapping
from typing import Any

from simlib.parameters import Count, ParameterError, Text, checked


class Quota:
    """Machines by instance type; a type that is not listed has no limit.

    A step waits until all the machines it needs are free, and holds them until it is over, also while it waits for a
    retry (a simplification).  Steps that need other types go past it.  One quota handed to several executions is
    shared by them.
    """

    @checked
    def __init__(self, limits: Mapping[Text, Count]) -> None:
        self.limits = dict(limits)
        self.used = dict.fromkeys(limits, 0)
        self.dispatchers: list[Any] = []

    def take(self, instance_type: str, number: int) -> bool:
        """Take *number* machines, if they are free.

        Raises
        ------
        ParameterError
            If there are never so many.
        """
        if instance_type not in self.limits or number == 0:
            return True
        limit = self.limits[instance_type]
        if number > limit:
            raise ParameterError(f"quota: a step needs {number} {instance_type} at once, and the quota is {limit}.")
        if self.used[instance_type] + number > limit:
            return False
        self.used[instance_type] += number
        return True

    def give_back(self, instance_type: str, number: int) -> None:
        """The machines are free again: every execution may look."""
        if instance_type in self.limits and number:
            self.used[instance_type] -= number
            for dispatcher in self.dispatchers:
                dispatcher.wake()

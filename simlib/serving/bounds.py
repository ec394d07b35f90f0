"""The bounds of a capacity."""


def check_bounds(lowest: int, highest: int) -> None:
    """Raise where the bounds cannot be.

    Raises
    ------
    ValueError
        If the least is more than the most.
    """
    if lowest > highest:
        raise ValueError(f"min_capacity={lowest} is not possible: it should be at most max_capacity={highest}.")

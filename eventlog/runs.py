"""Cuts scattered positions into runs that are read in one go; must not know how an engine reads them."""

from collections.abc import Iterator, Sequence


def runs(rising: Sequence[int], gap_count_max: int) -> Iterator[Sequence[int]]:
    """Cut rising positions where the gap is too wide to read across."""
    first = 0
    for index in range(1, len(rising)):
        if rising[index] - rising[index - 1] > gap_count_max:
            yield rising[first:index]
            first = index
    if rising:
        yield rising[first:]

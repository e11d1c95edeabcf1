"""Which document goes before which, as data; must not know messages or state.

Source: CBSA's System Outage Contingency Plan of November 2017, clause 3.1, with its spans rebuilt in DOMAIN section 1.2.
"""

from dataclasses import dataclass
from typing import Final

SURFACE: Final = frozenset({"highway", "rail"})
ARRIVING: Final = frozenset({"rail", "air", "marine"})
IMPORT_MODES: Final = frozenset({"highway", "rail", "air", "marine"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """before -> after: the earlier document is on file before the later may go.

    `hard`: CBSA rejects or may reject what breaks it; soft ones wait only for what is held or in flight here (R23).
    `named`: the later message lists the earlier document itself (R20), so one that was never seen is *missing* (R22).
    `confirmed`: stated by CBSA; the others are inferred and marked so in every report.
    """

    id: str
    before: str
    after: str
    modes: frozenset[str]
    hard: bool
    named: bool
    confirmed: bool
    words: str


EDGES: Final[tuple[Edge, ...]] = (
    Edge(
        id="E1", before="cargo", after="conveyance", modes=SURFACE, hard=True, named=True, confirmed=True,
        words="a trip goes after every shipment that it lists",
    ),
    Edge(
        id="E2", before="conveyance", after="close", modes=IMPORT_MODES, hard=True, named=False, confirmed=True,
        words="a close goes after the conveyance that carries its primary cargo",
    ),
    Edge(
        id="E3", before="house_bill", after="close", modes=IMPORT_MODES, hard=True, named=True, confirmed=True,
        words="a close goes after every house bill that it lists",
    ),
    Edge(
        id="E4", before="cargo", after="conveyance_arrival", modes=ARRIVING, hard=True, named=True, confirmed=True,
        words="an arrival goes after all cargo of that conveyance",
    ),
    Edge(
        id="E5", before="release", after="conveyance_arrival", modes=ARRIVING, hard=True, named=False, confirmed=True,
        words="an arrival goes after all releases for cargo of that conveyance",
    ),
    Edge(
        id="E6", before="conveyance", after="conveyance_arrival", modes=ARRIVING, hard=True, named=True, confirmed=False,
        words="an arrival goes after its conveyance",
    ),
    Edge(
        id="E7", before="everything related", after="cargo_arrival", modes=IMPORT_MODES, hard=False, named=False, confirmed=True,
        words="for inland cargo the arrival goes last",
    ),
    Edge(
        id="E8", before="house_bill", after="close", modes=IMPORT_MODES, hard=True, named=False, confirmed=False,
        words="the close under a consolidated house bill goes after that house bill",
    ),
    Edge(
        id="E9", before="house_bill", after="house_bill", modes=IMPORT_MODES, hard=False, named=False, confirmed=False,
        words="a house bill goes after the house bill one tier up",
    ),
    Edge(
        id="E10", before="image", after="release", modes=IMPORT_MODES, hard=False, named=True, confirmed=False,
        words="a release goes after the image that it names",
    ),
    Edge(
        id="E11", before="trip or close", after="trip or close", modes=IMPORT_MODES, hard=True, named=True, confirmed=False,
        words="a shipment stands on one trip, a house bill in one close: the earlier message about it goes first",
    ),
)  # fmt: skip


def edges_of(mode: str) -> dict[str, Edge]:
    """The edges in force for a mode, by id."""
    return {edge.id: edge for edge in EDGES if mode in edge.modes}

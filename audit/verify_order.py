"""What must be on file before a message may go, told anew from DOMAIN section 1.2; must not know the fold's own edges.

Only hard edges are judged: soft ones are CBSA's "should". The auditor knows what was received and what came on file; it does not
know which waiting message the fold had parked, so where that matters it judges only what later facts prove.
"""

from collections.abc import Iterator
from typing import Final

from audit.verify_gate import Gate
from audit.verify_papers import NEVER, Letter, Paper

CHAIN_COUNT_MAX: Final = 1_000
"""Most shipments that a chain of previous CCNs is followed over: consolidation has a handful of tiers."""

IMPORT: Final = ("highway", "rail", "air", "marine")
BEFORE_TRIP: Final = ("highway", "rail")
BEFORE_ARRIVAL: Final = ("rail", "air", "marine")

WORDS: Final[dict[str, str]] = {
    "E1": "a trip goes after each shipment that it lists",
    "E2": "a close goes after the conveyance of its primary cargo",
    "E3": "a close goes after each house bill that it lists",
    "E4": "an arrival goes after all cargo of its conveyance",
    "E5": "an arrival goes after all releases of that cargo",
    "E6": "an arrival goes after its conveyance",
    "E8": "a close goes after the consolidated house bill that it closes",
    "E11": "of two trips or closes that name the same, the earlier goes first",
    "R13": "the messages of one document go one after another",
}


def broken(letter: Letter, *, mode: str, gate: Gate) -> Iterator[str]:
    """Say in sentences which rules of order a grant of this message would break here."""
    provisional = gate.provisional(letter.channel, letter.tenant)
    for rule, paper, named in _before(letter, mode=mode):
        if paper is letter.paper and rule != "R13":
            continue
        if paper.on_file or (provisional and paper.settled()):
            continue
        due = paper.original_due(before=letter.place if rule == "R13" else None)
        if due is not None:
            yield f"{WORDS[rule]} ({rule}): {paper} was received as {due.key} (at {due.position}) and was not on file"
        elif named and not letter.grace and not gate.sends_without_missing():
            yield f"{WORDS[rule]} ({rule}): {paper} was never seen and its grace had not elapsed"
    for earlier in letter.paper.letters:
        if earlier.on_the_wire() and earlier.place < letter.place and not (provisional and earlier.settled):
            yield f"{WORDS['R13']} (R13): {earlier.key} (at {earlier.position}) was on its way without a verdict"
    if letter.function != "cancel" and mode in IMPORT and letter.kind in ("conveyance", "close"):
        yield from _same_group(letter, provisional=provisional)


def overtaken(letter: Letter, *, grant: int, mode: str) -> Iterator[tuple[Letter, str]]:
    """E11 judged by what came later: those that went before this one although this was received first and names the same.

    `grant` is the first grant of this message; each later trip or close is returned with a sentence.
    """
    if (
        mode not in IMPORT
        or letter.kind not in ("conveyance", "close")
        or letter.put_back != NEVER
        or letter.acts != (letter.position,)
    ):
        return
    for paper in letter.listed:
        for other in paper.namers:
            if other.kind != letter.paper.kind or other is letter.paper:
                continue
            for later in other.letters:
                names_it = paper in later.listed and later.function != "cancel"
                if names_it and letter.place < later.place and letter.position < later.went < grant:
                    yield (
                        later,
                        f"{WORDS['E11']} (E11): it went at {later.went}, {letter.key} (at {letter.position}) names {paper} too",
                    )


def _before(letter: Letter, *, mode: str) -> Iterator[tuple[str, Paper, bool]]:
    """The rule, the document that must be on file, and whether the message itself names it (then a grace may end the wait)."""
    if letter.function != "original":
        yield "R13", letter.paper, True
    if letter.function == "cancel":
        return
    if letter.kind == "conveyance" and mode in BEFORE_TRIP:
        yield from (("E1", paper, True) for paper in letter.listed)
    if letter.kind == "close" and mode in IMPORT:
        yield from (("E3", paper, True) for paper in letter.listed)
        yield from (("E2", paper, False) for paper in _conveyances(letter))
        yield from (("E8", paper, False) for paper in letter.related[:1] if paper.house_bill)
    if letter.kind == "conveyance_arrival" and mode in BEFORE_ARRIVAL:
        yield from (("E6", paper, True) for paper in letter.related)
        yield from (("E4", paper, True) for paper in letter.listed)
        aboard = _aboard(letter)
        yield from (("E4", paper, False) for paper in aboard)
        releases = (each for paper in aboard for each in paper.namers if each.kind == "release" and each.names(paper))
        yield from (("E5", release, False) for release in releases)


def _conveyances(letter: Letter) -> Iterator[Paper]:
    """From a close over its previous CCNs, tier by tier, to the primary cargo and to the conveyances that carry it."""
    seen: dict[Paper, None] = {}
    ahead = list(letter.related)
    while ahead and len(seen) < CHAIN_COUNT_MAX:
        paper = ahead.pop()
        if paper in seen or paper.kind != "shipment":
            continue
        seen[paper] = None
        ahead.extend(_related(paper) if paper.house_bill else ())
    for paper in seen:
        yield from (each for each in paper.namers if each.kind == "conveyance" and each.names(paper))
        yield from (each for each in _related(paper) if each.kind == "conveyance")


def _related(paper: Paper) -> list[Paper]:
    return [each for letter in paper.speakers() for each in letter.related]


def _aboard(letter: Letter) -> list[Paper]:
    """The shipments on an arriving conveyance: those the arrival or the trip lists, and those that name the conveyance."""
    aboard = dict.fromkeys(letter.listed)
    for conveyance in letter.related:
        aboard.update(dict.fromkeys(paper for speaker in conveyance.speakers() for paper in speaker.listed))
        aboard.update(dict.fromkeys(each for each in conveyance.namers if each.kind == "shipment" and each.names(conveyance)))
    return list(aboard)


def _same_group(letter: Letter, *, provisional: bool) -> Iterator[str]:
    """E11: a trip or close that names the same, or lets go of it, and is on its way without a verdict."""
    for paper in letter.listed:
        for other in paper.namers:
            if other.kind != letter.paper.kind or other is letter.paper:
                continue
            for earlier in other.letters:
                touches = paper in earlier.listed or other.names(paper)
                done = provisional and earlier.settled
                if touches and earlier.place < letter.place and earlier.on_the_wire() and not done:
                    yield f"{WORDS['E11']} (E11): {earlier.key} (at {earlier.position}) names {paper} and had no verdict"

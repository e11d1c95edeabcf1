"""Reads from a notice's title and description what is down, which way and how badly; must not know layouts, times or states.

Bent towards closing: where two places disagree both hold (fail closed), with a finding. What is named without being said to fail
is not closed, with a finding (DOMAIN sections 2 and 5).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from consumers.notice_layout import NoticeUnreadable
from schemas.facts import COMPONENTS, Component, Direction, Effect

Working: TypeAlias = frozenset[tuple[Component, Direction]]

BOTH: Final[frozenset[Direction]] = frozenset({"inbound", "outbound"})
PORTALS: Final[frozenset[Component]] = frozenset({"emanifest_portal", "cers", "ccp"})
NAMES: Final[dict[Component, str]] = {
    "edi": "EDI",
    "emanifest_portal": "the eManifest portal",
    "cers": "CERS",
    "ccp": "the CARM Client Portal",
    "cad_api": "CAD/API",
    "swi": "SWI (IID)",
    "cig": "CIG",
    "rns": "RNS",
}
_SEVERITY: Final[tuple[Effect, ...]] = ("relogon", "delayed", "partial", "not_processing", "unavailable")


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII | re.IGNORECASE)


_COMPONENT_WORDS: Final[dict[Component, re.Pattern[str]]] = {
    "edi": _words(r"\bEDI(?=\b|portal|dif)|\belectronic data interchange\b"),
    "emanifest_portal": _words(r"\be-?manifest\b"),
    "cers": _words(r"\bCERS\b|\bcanadian export reporting system\b"),
    "ccp": _words(r"\bCCP\b|\bCARM\b"),
    "cad_api": _words(r"\bCAD\b(?! ?\$? ?\d)|\bcommercial accounting declarations?\b|\bAPIs?\b"),
    "swi": _words(r"\bSWI\b|\bsingle window\b|\bIIDs?\b|\bintegrated import declarations?\b"),
    "cig": _words(r"\bCIG\b|\bcustoms internet gateway\b"),
    "rns": _words(r"\bRNS\b|\brelease notification system\b"),
}
_PORTAL: Final = _words(r"(?:\b|(?<=edi))portals?\b")
_CLIENT_PORTAL: Final = _words(r"\bCCP\b|\bportals?\b")
_FULL: Final = _words(r"\ball (?:of )?(?:the )?(?:CBSA(?:'s)? )?(?:\w+ )?systems\b|\bfull (?:CBSA )?system outage\b")
_OTHER_SYSTEMS: Final = _words(r"\b(?:DIF|document imag\w+ functionality|direct connect|VANs?|value.added networks?|ACROSS)\b")
_RESPONSE_LIST: Final = _words(r"acknowledg|\breject messages?|\bcompleteness\b")

_CANNOT: Final = r"(?:unable|not (?:\w+ )?able|cannot|can't|can not|could not|not)"
_SEND: Final = r"(?:send|transmit|submit)"
_CLIENTS: Final = r"\b(?:clients?|users?|brokers?|carriers?|importers?|exporters?|forwarders?|providers?|partners?)\b"
_CLIENTS_CANNOT_SEND: Final = _words(rf"{_CLIENTS}[^.]{{0,60}}?\b{_CANNOT}\b[^.]{{0,20}}?\b{_SEND}")
_INBOUND: Final = _words(
    rf"\b(?:inbound|incoming)\b|\b(?:{_SEND}\w*|sent)\b[^.]{{0,60}}?\bto (?:the )?CBSA\b"
    rf"|\bCBSA\b[^.]{{0,60}}?\b{_CANNOT}\b[^.]{{0,30}}?\breceiv|\bin and out\b|\bboth (?:directions|ways)\b"
)
_OUTBOUND: Final = _words(
    r"\boutbound\b|\boutgoing\b|acknowledg|\bresponses?\b|\breject messages?|\bcompleteness\b|\bRNS\b"
    r"|\b(?:get|receiv\w*|obtain)\b[^.]{0,60}?\bfrom (?:the )?CBSA\b|\bin and out\b|\bboth (?:directions|ways)\b"
)
_CBSA_CANNOT_SEND: Final = _words(rf"\bCBSA\b[^.]{{0,60}}?\b{_CANNOT}\b[^.]{{0,20}}?\b(?:{_SEND}|issue)\b")
_OUTBOUND_SAID: Final = _words(r"\boutbound\b|\boutgoing\b")
_OUTWARD: Final = _words(r"\boutbound\b|\boutgoing\b|\bfrom (?:the )?CBSA\b|\bin and out\b|\bboth (?:directions|ways)\b")
_WHOLE_SYSTEM: Final = _words(
    r"\b(?:EDI|CIG|applications?|systems?|services?)\b[^.]{0,30}?\b(?:unavailable|not available|down)\b"
)
"""What is down as a whole is down both ways, though the clause goes on to list the responses that fail."""

_WORKS: Final = _words(
    r"\bnot (?:being )?(?:affected|impacted)|\bunaffected\b|\bno impact\b|\b(?:working|operating|works?|operates?) normally\b"
    r"|(?<!not )\b(?:is|are|remains?|now|fully|still) available\b"
    r"|(?<!no longer )\bcontinues? to (?:work|be received|receive|send|process)\b"
    r"|\bfiling still works\b|\b(?:has|have|is|are) (?:now )?(?:been )?(?:restored|resolved|fixed)\b"
    r"|\bback (?:up|online|to normal)\b"
    r"|(?<!unable to )(?<!able to )\breceives(?: and processes)?\b|\bcan (?:still )?receive\b|\b(?:is|are) still received\b"
    r"|\bwithout (?:delays?|interruptions?|issues?)\b|\bno (?:delays?|outages?)\b"
)
_NOT_PROCESSING: Final = _words(
    rf"\b{_CANNOT}\b (?:be |being |to |currently )*process|\b(?:received|receives?)\b[^.]{{0,30}}?\bqueued\b"
    r"|\b(?:is|are|be|being) queued\b"
)
_CANNOT_TAKE: Final = _words(rf"\b{_CANNOT}\b[^.]{{0,30}}?\b(?:{_SEND}|receiv)")
_STRONG: Final = _words(
    r"\bunavailab|\b(?:not|no longer) (?:\w+ )?available\b|\bdown\b|\bunable\b"
    r"|\bnot (?:\w+ )?able\b|\bcannot\b|\bcan't\b|\bcan not\b"
    r"|\bnot (?:be |being |currently )*(?:work|function|operat|accessible|respond|receiv|send|sent|transmit|process)"
    r"|\binaccessible\b|\bno access\b|\bdisconnect|\bout of (?:service|order)\b"
    r"|\bsuspended\b|\bstopped\b|\bfail(?:s|ed|ing|ures?)?\b"
)
_WEAK: Final = _words(
    r"\boutages?\b|\berrors?\b|\bissues?\b|\bproblems?\b|\btrouble\b|\bdifficult|\baffected\b|\bimpacted\b|\bdisrupt|\binterrupt"
)
_PARTIAL: Final = _words(
    rf"\b(?:some|certain|several|a number of|many) (?:\w+ ){{0,3}}?{_CLIENTS}"
    r"|\bintermittent|\bcomes? and goes?\b|\bsporadic|\bat times\b"
    r"|\bmay (?:get|see|receive|encounter|experience) (?:an? )?errors?\b"
)
_DELAYED: Final = _words(r"\bdelay|\blate\b|\bslow|\bbacklog|\blonger than (?:normal|usual)|\bdegrad|\bupdating\b")
_OUTAGE: Final = _words(r"\boutages?\b")
_RELOGON: Final = _words(r"\bre-?log-?(?:on|in)|\blog(?:ged)? (?:back )?(?:on|in|out|off)\b")
_BOILERPLATE: Final = _words(
    r"\bactively working\b|\bestimated time\b|\bfurther updates?\b|\bupdates? to this bulletin\b"
    r"|\bthis (?:bulletin|message) (?:is|will be)\b"
    r"|\bregret\b|\bwork on it goes on\b|\bcontingency\b|\bwill be (?:provided|updated)\b"
)
_ALTERNATIVE: Final = _words(r"\binstead\b|\bmay (?:use|file)\b|\bcan (?:use|file)\b|\balternativ|\bexample\b")
_SENTENCE_END: Final = _words(r"(?<=[.!?;]) |\n|,? (?:but|however|while|although|though|whereas),? ")
_TURN: Final = _words(r"(?= (?:may|can) (?:use|file) )")
_TITLE_END: Final = _words(r" [-–—] |; |, (?=but )|(?<=:) ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One clause that says that something fails. `firm`: by plain words, not by "issue" or "outage". `own`: it names its
    components itself, they are not taken from the clause before it. No directions: it gives none. `outage`: it uses that word.
    `symptom`: its only direction is outbound, told from missing responses, which an inbound stop has too."""

    components: frozenset[Component]
    directions: frozenset[Direction]
    effect: Effect | None
    firm: bool
    own: bool
    outage: bool
    symptom: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a notice's words close: an effect for each component and direction."""

    effects: dict[tuple[Component, Direction], Effect]
    findings: tuple[str, ...]


def named(text: str) -> frozenset[Component]:
    """The components that a text names. RNS in a list of responses is a response, not a component."""
    found = {component for component, words in _COMPONENT_WORDS.items() if words.search(text)}
    if "ccp" in found and _CLIENT_PORTAL.search(text) is None:
        found.add("cad_api")
    if not found & PORTALS and _PORTAL.search(text):
        found |= PORTALS
    if len(found) > 1 and _RESPONSE_LIST.search(text):
        found.discard("rns")
    return frozenset(COMPONENTS if _FULL.search(text) else found)


def names_plain_portal(text: str) -> bool:
    """Whether a text says "portal" without saying which."""
    return _PORTAL.search(text) is not None and not any(_COMPONENT_WORDS[portal].search(text) for portal in PORTALS)


def effect_of(clause: str) -> tuple[Effect | None, bool]:
    """The effect that a clause speaks of, and whether plain words say so; None where it says that nothing fails."""
    text = _WORKS.sub(" ", clause)
    if _NOT_PROCESSING.search(text) and not _CANNOT_TAKE.search(text):
        return "not_processing", True
    if _STRONG.search(text):
        return ("partial" if _PARTIAL.search(text) else "unavailable"), True
    if _DELAYED.search(text):
        return "delayed", True
    if _PARTIAL.search(text):
        return "partial", True
    if _RELOGON.search(text):
        return "relogon", True
    return ("unavailable" if _WEAK.search(text) else None), False


def directions_of(clause: str) -> frozenset[Direction]:
    """The directions that a clause names; empty for none."""
    found: set[Direction] = set()
    clients = _CLIENTS_CANNOT_SEND.search(clause) is not None
    if clients or _INBOUND.search(clause):
        found.add("inbound")
    said = _OUTBOUND.search(clause) or (not clients and _CBSA_CANNOT_SEND.search(clause))
    if said and not (_WHOLE_SYSTEM.search(clause) and _OUTWARD.search(clause) is None):
        found.add("outbound")
    return frozenset(found)


def scopes_of(component: Component, directions: Iterable[Direction], effect: Effect) -> dict[tuple[Component, Direction], Effect]:
    """The scopes of one effect. A portal is one thing: inbound always, outbound only when it is wholly unavailable, for its
    responses are read in it. What CBSA takes and does not process it does not answer: outbound is unavailable then."""
    if component in PORTALS:
        directions = BOTH if effect == "unavailable" else ("inbound",)
    return {
        (component, direction): "unavailable" if direction == "outbound" and effect == "not_processing" else effect
        for direction in directions
    }


def worst(*effects: Effect) -> Effect:
    """The effect that closes most."""
    return max(effects, key=_SEVERITY.index)


def read_words(title: str, description: str, *, clients: str, unsaid: Effect | None) -> Words:
    """What title and description close together. `description`: paragraphs, one per line. `unsaid`: the effect where no word
    says that anything fails (a RESOLVED need not say it again), None to refuse such a notice.

    Raises NoticeUnreadable when no component, or nothing that fails, can be known.
    """
    findings: list[str] = []
    head = _title_statement(title)
    body, working, mentioned = _description_statements(description, head.components)
    own = frozenset[Component]().union(*(statement.components for statement in body if statement.own))
    components = head.components | own
    if not components:
        raise NoticeUnreadable("Neither title nor description says which of CBSA's systems is meant: read it and act by hand.")
    if head.effect is None and not body and unsaid is not None:
        head = replace(head, effect=unsaid)
    elif head.effect is None and not body:
        raise NoticeUnreadable("Neither title nor description says that something fails: read it and act by hand.")
    if names_plain_portal(f"{title}\n{description}"):
        findings.append("It says 'portal' without saying which: the eManifest portal, CERS and the CARM Client Portal are meant.")
    if own and head.components - own:
        findings.append(f"Its title names {_list(head.components - own)}, its description does not: taken as meant.")
    if head.components and own - head.components:
        findings.append(f"Its description names {_list(own - head.components)}, its title does not: taken as meant.")
    effects = _full_outage(head, body)
    if "not_processing" in effects.values():
        findings.append("It speaks of all CBSA systems: by the plan CBSA queues EDI and the eManifest portal, the rest is down.")
    for component in COMPONENTS:
        if component in components and (component, "inbound") not in effects:
            closed, said = _component(component, head, body, working)
            effects |= closed
            findings += said
    if mentioned - components:
        findings.append(f"It speaks of {_list(mentioned - components)} without saying that it fails: left as it is.")
    findings += other_findings(f"{title}\n{description}", clients=clients, closed=components)
    return Words(effects=effects, findings=tuple(dict.fromkeys(findings)))


def _title_statement(title: str) -> Statement:
    parts = [part for part in _TITLE_END.split(title) if not _only_works(part)]
    return _statement(" - ".join(parts))


def _statement(clause: str) -> Statement:
    effect, firm = effect_of(clause)
    directions = directions_of(clause)
    symptom = directions == {"outbound"} and not (_OUTBOUND_SAID.search(clause) or _CBSA_CANNOT_SEND.search(clause))
    outage = _OUTAGE.search(clause) is not None
    return Statement(
        components=named(clause), directions=directions, effect=effect, firm=firm, own=True, outage=outage, symptom=symptom
    )


def _only_works(clause: str) -> bool:
    return _WORKS.search(clause) is not None and effect_of(clause)[0] is None


def _description_statements(
    description: str, title_components: frozenset[Component]
) -> tuple[list[Statement], Working, frozenset[Component]]:
    """What fails by the description, what it says works, and components that it names without either."""
    body: list[Statement] = []
    working: set[tuple[Component, Direction]] = set()
    mentioned: set[Component] = set()
    meant = title_components
    for clause in _clauses(description):
        found = _statement(clause)
        components = _pointed_at(clause, found.components, meant)
        if found.effect is None:
            if _WORKS.search(clause):
                working |= {(component, way) for component in components or COMPONENTS for way in found.directions}
            elif not _ALTERNATIVE.search(clause):
                mentioned |= components
        elif components:
            meant = components
            body.append(replace(found, components=components))
        elif meant and found.firm and (found.directions or not _BOILERPLATE.search(clause)):
            inherited = (meant - PORTALS or meant) if found.directions else meant
            body.append(replace(found, components=inherited, own=False))
    return body, frozenset(working), frozenset(mentioned)


def _clauses(description: str) -> Iterator[str]:
    """Sentences and their parts. One that says both what fails and what to use instead is cut between the two."""
    for clause in filter(None, map(str.strip, _SENTENCE_END.split(description))):
        yield from _TURN.split(clause) if effect_of(clause)[0] is not None else (clause,)


def _pointed_at(clause: str, components: frozenset[Component], meant: frozenset[Component]) -> frozenset[Component]:
    """ "The portal" is the one spoken of before; RNS among acknowledgements and rejects is a response of what was spoken of."""
    if names_plain_portal(clause) and meant & PORTALS:
        return components - PORTALS | meant & PORTALS
    if components == {"rns"} and meant and _RESPONSE_LIST.search(clause):
        return frozenset()
    return components


def _full_outage(head: Statement, body: list[Statement]) -> dict[tuple[Component, Direction], Effect]:
    """DOMAIN section 2, FULL_CBSA: EDI and the eManifest portal keep sending, CBSA queues; no responses. Words that say that
    CBSA can't receive go before it. Empty when it is none: not all systems, or only late or for some."""
    told = [head, *body]
    firm = [statement.effect for statement in told if statement.firm and statement.effect]
    if not any(statement.effect and len(statement.components) == len(COMPONENTS) for statement in told):
        return {}
    if firm and worst(*firm) not in ("unavailable", "not_processing"):
        return {}
    stopped = any("inbound" in statement.directions and statement.effect == "unavailable" for statement in told)
    queued: frozenset[Component] = frozenset() if stopped else frozenset({"edi", "cig", "swi", "rns", "emanifest_portal"})
    inbound: dict[tuple[Component, Direction], Effect] = {
        (component, "inbound"): "not_processing" if component in queued else "unavailable" for component in COMPONENTS
    }
    outbound: dict[tuple[Component, Direction], Effect] = {(component, "outbound"): "unavailable" for component in COMPONENTS}
    return inbound | outbound


def _component(
    component: Component, head: Statement, body: list[Statement], working: Working
) -> tuple[dict[tuple[Component, Direction], Effect], list[str]]:
    """One component's scopes, from the statements about it."""
    title = head if component in head.components else None
    about = [statement for statement in body if component in statement.components]
    findings: list[str] = []
    if component in PORTALS:
        effect, said = _effect(component, title, about)
        return scopes_of(component, BOTH, effect), said
    directions, said = _directions(component, [title, *about] if title else about, working)
    findings += said
    closed: dict[tuple[Component, Direction], Effect] = {}
    for direction in sorted(directions):
        touching = [statement for statement in about if not statement.directions or direction in statement.directions]
        effect, said = _effect(component, title, touching or about)
        closed |= scopes_of(component, (direction,), effect)
        findings += said
    return closed, findings


def _directions(component: Component, about: list[Statement], working: Working) -> tuple[frozenset[Direction], list[str]]:
    works = {way for name, way in working if name == component}
    given = [statement.directions for statement in about if statement.directions]
    union = frozenset[Direction]().union(*given)
    if not union:
        return (BOTH - works or BOTH), []
    symptoms = all(statement.symptom for statement in about if statement.directions)
    open_ended = any(
        statement.own and not statement.directions and (statement.firm or (statement.outage and symptoms)) for statement in about
    )
    if open_ended and BOTH - union - works:
        only = f"It names {NAMES[component]} without a direction and, elsewhere, only {_list(union)}"
        return BOTH, [f"{only}: both directions are taken as meant."]
    if len(union) > 1 and about[0].directions and about[0].directions != union and len(given) > 1:
        return union, [f"It does not give {NAMES[component]} the same directions everywhere: both are taken as meant."]
    return union, []


def _effect(component: Component, title: Statement | None, about: list[Statement]) -> tuple[Effect, list[str]]:
    """The effect on one component: the description's, unless the title plainly says something worse."""
    firm = [statement.effect for statement in about if statement.firm and statement.effect]
    weak = [statement.effect for statement in about if statement.effect]
    said = max(firm or weak, key=_SEVERITY.index, default=None)
    headed = title.effect if title is not None else None
    if said is None:
        if headed is not None:
            return headed, []
        return "unavailable", [f"It does not say what is wrong with {NAMES[component]}: taken as unavailable."]
    if headed is None or title is None or not title.firm or headed == said or (headed, said) == ("unavailable", "partial"):
        return said, []
    worse = worst(headed, said)
    return worse, [
        f"Title and description differ about {NAMES[component]} ({_shown(headed)}, {_shown(said)}): {_shown(worse)} was taken."
    ]


def other_findings(text: str, *, clients: str, closed: frozenset[Component]) -> list[str]:
    """What a person should see about systems that are no component here, and about a clients line that disagrees."""
    findings = []
    others = sorted({found.group().upper() for found in _OTHER_SYSTEMS.finditer(text)})
    if others:
        findings.append(f"It speaks of {', '.join(others[:5])}, which is no channel here: nothing is closed for it.")
    affected = named(clients)
    if affected - closed:
        findings.append(
            f"Its clients line also names {_list(affected - closed)}, which disagrees with its title and description: "
            "left as it is, ask CBSA if in doubt."
        )
    if affected and closed - affected:
        findings.append(
            f"Its clients line does not name {_list(closed - affected)}, its title or description does: taken as meant."
        )
    return findings


def _list(names: Iterable[str]) -> str:
    shown = [NAMES.get(name, name) for name in sorted(names)]  # type: ignore[call-overload]  # directions are shown as they are
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def _shown(effect: Effect) -> str:
    return effect.replace("_", " ")

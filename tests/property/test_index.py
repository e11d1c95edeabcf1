"""An index finds what a dict would find, whatever came, went and grew in between."""

from hypothesis import given, settings
from hypothesis import strategies as st

from lane.document import name_of
from lane.index import PAGE_PLACES, ByPosition
from lane.record import Form, packed_names, record_of
from lane.shelves import Hearsay, Shelf
from lane.state import Document, Message

ALL = [name_of("shipment", str(number)) for number in range(30)]
NAMES = st.lists(st.sampled_from(ALL), min_size=1, max_size=4, unique=True)
FORM = Form(("acme", "house_bill", "original", "edi", False))
RECORD = record_of(inbound=0, received_ms=0, size_bytes=0, digest="", attributes_digest="")


def _naming(names: list[bytes]) -> Message:
    message = Message(position=0, key="H", form=FORM, doc=Document("shipment", "H"), record=RECORD)
    message.name_alone(names)
    return message


@given(st.lists(st.tuples(st.booleans(), NAMES), max_size=60))
@settings(max_examples=150, deadline=None)
def test_an_index_is_a_dict_to_whoever_looks(steps: list[tuple[bool, list[bytes]]]) -> None:
    """Names are added in groups, a group's thing leaves with all of its names, and each name finds what a dict finds."""
    index = Hearsay()
    plain: dict[bytes, Message] = {}
    for comes, names in steps:
        if comes:
            message = _naming([name for name in names if name not in plain])
            index.add(message)
            plain |= dict.fromkeys(packed_names(message.record), message)
        elif names[0] in plain:
            message = plain[names[0]]
            index.remove(message)
            plain = {name: other for name, other in plain.items() if other is not message}
        assert len(plain) == index.count
        assert [id(plain.get(name)) for name in ALL] == [id(index.get(name)) for name in ALL]


@given(st.lists(st.integers(0, 300), max_size=600))
@settings(max_examples=100, deadline=None)
def test_an_index_that_grows_and_empties_loses_nothing(keys: list[int]) -> None:
    """What comes a second time leaves, over every size that the index takes on its way."""
    shelf = Shelf()
    plain: dict[str, Document] = {}
    for key in map(str, keys):
        if key in plain:
            shelf.remove(plain.pop(key))
        else:
            plain[key] = Document("shipment", key)
            shelf.add(plain[key])
    assert len(plain) == shelf.count
    assert [id(plain.get(str(key))) for key in range(301)] == [id(shelf.get(str(key))) for key in range(301)]


def test_an_index_that_has_emptied_gives_its_room_back() -> None:
    """After an outage, what the held messages took is there for others."""
    shelf = Shelf()
    docs = [Document("shipment", str(number)) for number in range(1_000)]
    for doc in docs:
        shelf.add(doc)
    at_most = len(shelf._places)
    for doc in docs[1:]:
        shelf.remove(doc)
    assert len(shelf._places) <= at_most // 50
    assert docs[0] is shelf.get("0")


@given(st.lists(st.tuples(st.integers(1, 3 * PAGE_PLACES), st.integers(0, 200))))
@settings(max_examples=150, deadline=None)
def test_things_by_position_are_a_dict_in_its_order(steps: list[tuple[int, int]]) -> None:
    """Positions rise by any step, anything may leave, and what is left stands in the order in which it came."""
    index: ByPosition[str] = ByPosition()
    plain: dict[int, str] = {}
    position = 0
    for step, leaves in steps:
        index.add(position, str(position))
        plain[position] = str(position)
        if leaves < len(plain):
            gone = list(plain)[leaves]
            del plain[gone]
            index.remove(gone)
            assert gone not in index
        assert (list(plain), list(plain.values()), len(plain)) == (list(index), list(index.values()), len(index))
        assert [plain.get(each) for each in range(position + 2)] == [index.get(each) for each in range(position + 2)]
        position += step

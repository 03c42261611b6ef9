"""Peers that make up names: what they leave behind does not grow with them (emp.names)."""

import subprocess
import sys
import threading

import pytest
from lxml import etree

from emp import names
from emp.stream import Limits
from emp.stream.parser import StreamParser
from emp.xml import E, parse, serialize
from tests.emp.stream.law import COMPONENT_HEADER
from tests.emp.stream.memory_of_names import KINDS, ROUTES

STANZAS = {"answers": 4_000, "texts": 12_000, "restless": 60_000}
"""By routes that take more time, or whose names stay for longer: see KEPT_RESTLESS."""
DICTIONARY_BYTES = 65_536
FOR_EVER = 10**9
KEPT = 350
"""KiB: a full dictionary, its successor, and the moods of the allocator."""
KEPT_RESTLESS = 2 * KEPT
"""A stream that never rests has its dictionary for a whole stanza_bytes longer."""


def kept(route: str) -> int:
    return KEPT_RESTLESS if route == "restless" else KEPT


def grown(route: str, kind: str, dictionary: int) -> int:
    program = "tests.emp.stream.memory_of_names"
    arguments = [route, kind, str(STANZAS.get(route, 15_000)), str(dictionary)]
    command = [sys.executable, "-m", program, *arguments]
    return int(subprocess.run(command, check=True, capture_output=True).stdout)


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_a_stream_are_forgotten(kind: str) -> None:
    assert grown("stream", kind, DICTIONARY_BYTES) < KEPT


@pytest.mark.parametrize("route", ROUTES.keys() - {"stream"})
def test_names_are_forgotten_on_all_routes(route: str) -> None:
    assert grown(route, "element", DICTIONARY_BYTES) < kept(route)


@pytest.mark.parametrize("route", ROUTES.keys() - {"answers", "texts"})
def test_the_program_would_notice(route: str) -> None:
    assert grown(route, "element", FOR_EVER) > 1.5 * kept(route)


def test_a_parser_keeps_its_dictionary_to_the_end() -> None:
    """lxml gives a tree the dictionary of the moment in which its parser fails: were that another
    one, the tree would be freed wrongly."""
    for number in range(200):
        parser = StreamParser(Limits())
        parser.receive(COMPONENT_HEADER + b"<iq><a%d b%d='1'>" % (number, number))
        names.renew()
        parser.receive(b"</c>")
        assert parser.fault


def test_our_users_keep_theirs() -> None:
    """A parser of theirs may live across any number of ours."""
    before = dict(names.states())
    theirs = etree.XMLPullParser()
    theirs.feed("<a><made-up/>")
    for number in range(3):
        names.renew()
        payload = parse(f"<b{number} xmlns='u'/>")
        StreamParser(Limits()).receive(COMPONENT_HEADER + b"<iq><x/></iq>")
        serialize(E.c(payload, E.d(), xmlns="v"))
        with pytest.raises(etree.XMLSyntaxError):
            etree.fromstring("<")
    theirs.feed("</a>")
    assert [child.tag for child in theirs.close()] == ["made-up"]
    assert dict(names.states()) == before


def test_ours_are_lent_and_given_back() -> None:
    states = names.states()
    before = states[names.LXML]
    with names.Lent():
        assert states[names.LXML] is names.present()
        with pytest.raises(ZeroDivisionError):
            _fail_inside()
        assert states[names.LXML] is not names.present()  # it was renewed inside
    assert states[names.LXML] is before


def _fail_inside() -> None:
    with names.Lent(names.DICTIONARY_BYTES):
        assert names.states()[names.LXML] is names.present()
        raise ZeroDivisionError


def test_each_thread_has_its_own() -> None:
    found = []

    def work() -> None:
        found.append(names.present())
        found.append(parse("<a xmlns='u'/>").tag)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found[1] == "{u}a"
    assert found[0] is not names.present()


def test_elements_move_between_dictionaries() -> None:
    wire = "<a xmlns='u' xmlns:p='v' p:q='1'>t<p:b/>&lt;</a>"
    first = parse(wire)
    names.renew()
    second = parse(wire)
    second.append(first)
    etree.Element("theirs").append(second)
    names.renew()
    assert second.tag == "{u}a"
    assert [child.tag for child in second] == ["{v}b", "{u}a"]
    assert first.get("{v}q") == "1"
    assert names.twin(first).findtext("{v}b") == ""

"""Names that peers make up must not stay in memory: dictionaries for lxml that come and go.

libxml2 stores each name of an element, attribute, prefix or namespace once, in a *dictionary*, and
never takes one out. lxml (5 and 6) has one dictionary per thread, for all its parsers and trees and
as long as the thread lives: whoever sends stanzas with ever new names, or only namespaces with a
number in them, makes a process grow without end.

So what is parsed, copied or built here for somebody outside uses a dictionary of ours, which is
lent to lxml for as long as that takes. After DICTIONARY_BYTES there is a new one. The old one is
counted by reference, and goes with the last tree or parser that uses it. lxml moves nodes between
dictionaries as it moves them between threads: by looking their names up again.

A pull parser must never be fed or closed with another dictionary than that with which it began:
lxml then gives its tree the wrong one, and memory is corrupted when the tree goes. So we must leave
our user's code its own, and to begin a stream in a thread of its own would not do either.

lxml has no function for all this. It keeps its state of the thread in CPython's dictionary of the
thread (PyThreadState_GetDict), under a name that has been the same since version 2, and makes a new
state when it finds none. Should that ever change, then nothing happens here, names stay, and
tests/emp/stream/test_names.py fails.
"""

import ctypes
import threading
from copy import copy
from typing import Any, Final

from lxml import etree

DICTIONARY_BYTES: Final = 1_048_576
"""XML from outside after which names are forgotten. In ordinary streams a dictionary has some
kilobytes by then, in the worst one eight times the bytes on the wire. To begin a new one costs less
than a tenth of a millisecond, most of it because the allocator tidies up."""

ELEMENT_BYTES: Final = 64
"""What an element counts for that was not parsed but built or copied."""

LXML: Final = "_ParserDictionaryContext"
"""Where lxml keeps its state of the thread, and in it the dictionary."""


class _Here(threading.local):
    """What belongs to the present thread."""

    def __init__(self) -> None:
        self.states = _states_of_thread()
        self.left = DICTIONARY_BYTES
        self.present: Any = None


def _states_of_thread() -> dict[str, Any]:
    """Where libraries store what belongs to the present thread; empty where we cannot look."""
    api = getattr(ctypes, "pythonapi", None)  # other Pythons have none
    if api is None:
        return {}
    etree.Element("document")  # so that lxml's own is there
    # The reference is borrowed, which ctypes.py_object as the type of the result would not be.
    address = ctypes.PYFUNCTYPE(ctypes.c_void_p)(("PyThreadState_GetDict", api))()
    states: dict[str, Any] = ctypes.cast(address, ctypes.py_object).value if address else {}
    return states if LXML in states else {}


def states() -> dict[str, Any]:
    """The states that libraries keep of the present thread, for those who have no time for `Lent`:
    states()[LXML] is to be present() for a while, then again what it was."""
    return _here.states


def present() -> Any:
    """The dictionary of the present thread for what begins now."""
    return _here.present or renew()


def parsed(count: int) -> None:
    """So many bytes from outside were parsed, or are about to be, in this thread."""
    _here.left -= count
    if _here.left <= 0:
        renew()


def renew() -> Any:
    """Begins a new dictionary and returns it."""
    here = _here
    here.left = DICTIONARY_BYTES
    theirs = here.states.pop(LXML, None)
    if theirs is not None:
        # Now lxml makes a new state, and a dictionary with the first document.
        etree.Element("document")
        here.present = here.states.get(LXML)
        here.states[LXML] = theirs
    return here.present


class Lent:
    """`with Lent(bytes):` parses, copies or builds so many bytes of XML with our dictionary."""

    __slots__ = ("_theirs",)

    def __init__(self, count: int = ELEMENT_BYTES) -> None:
        parsed(count)

    def __enter__(self) -> None:
        states = _here.states
        self._theirs = states.get(LXML)
        states[LXML] = present()

    def __exit__(self, *_: object) -> None:
        _here.states[LXML] = self._theirs


def twin(element: etree._Element) -> etree._Element:
    """A copy of the element, without the text behind it."""
    with Lent():
        result = copy(element)
    result.tail = None
    return result


class DocumentParser(threading.local):
    """A parser for one text after the other. Each thread that uses it has one of its own: what is
    wrong with a text is read from the parser afterwards, and must not be another text's."""

    def __init__(self, **options: Any) -> None:
        """options: of etree.XMLParser."""
        self._options = options
        self._dictionary: Any = self
        self._parser: Any = None

    def __call__(self, text: bytes) -> etree._Element:
        """The root element. Raises etree.XMLSyntaxError."""
        # As with Lent(len(text)), without its calls: they would take a fifth of the time that a
        # small text takes, and what belongs to a thread is slow to look at.
        here = _here
        here.left -= len(text)
        if here.left <= 0:
            renew()
        dictionary = here.present or renew()
        states = here.states
        theirs = states.get(LXML)
        states[LXML] = dictionary
        try:
            # As of version 7 of lxml the parser has the dictionary.
            if self._dictionary is not dictionary:
                self._dictionary = dictionary
                self._parser = etree.XMLParser(**self._options)
            parser = self._parser
            try:
                root: etree._Element = etree.fromstring(text, parser)
            except etree.XMLSyntaxError:
                raise_overlooked(parser)  # it names the last error, and the first is the cause
                raise
            raise_overlooked(parser)
            return root
        finally:
            states[LXML] = theirs


TOLERATED: Final = frozenset({etree.ErrorTypes.WAR_NS_URI, etree.ErrorTypes.WAR_NS_URI_RELATIVE})
"""Namespace names that are no URI: libxml2 objects, XML does not (Namespaces in XML §3)."""

VALIDITY: Final = frozenset({etree.ErrorTypes.DTD_XMLID_VALUE, etree.ErrorTypes.DTD_ID_REDEFINED})
"""What xml:id should be, in its own document and beside others: no matter of being well-formed."""


def raise_overlooked(parser: etree.XMLParser) -> None:
    """To be called when the parser has done: raises etree.XMLSyntaxError for its first error that
    counts, or else the first that is TOLERATED. lxml looks at the last thing that libxml2 has said,
    so that an error of namespaces passes when a warning follows, such as that for
    xmlns="relative"."""
    log: Any = parser.error_log
    if len(log):
        errors = [
            entry
            for entry in log
            if entry.level >= etree.ErrorLevels.ERROR and entry.type not in VALIDITY
        ]
        if errors:
            first = next((each for each in errors if each.type not in TOLERATED), errors[0])
            # Any: the stubs know one argument only.
            syntax_error: Any = etree.XMLSyntaxError
            raise syntax_error(first.message, first.type, first.line, first.column)


_here: Final = _Here()

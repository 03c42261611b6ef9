"""libxml2's pull parser for one stream, made so that nothing of it stays when nobody wants it.

Two properties of lxml (5 and 6) stand against that. The first document of a parser refers back to
it: both would be freed, with the dictionary of their names, only when Python looks for cycles. So
the first document is a tiny one. But when a second one begins, lxml forgets what it has counted for
the tags of the first, and keeps their namespaces for ever. So while there is the first document,
there are no tags: lxml's list of them is empty.

Should a version of lxml keep its list elsewhere, then it is not found, and some hundred bytes stay
for each parser; tests/emp/stream/test_pull.py fails then.
"""

import gc
from collections.abc import Iterable
from typing import Any, Final

from lxml import etree

from emp.stream.header import PARSER_OPTIONS

# Where the list is: each of these refers to the next one.
_PATH: Final = ("_SaxParserContext", "_MultiTagMatcher", "list")


def new_parser(tags: Iterable[str]) -> Any:
    """An XMLPullParser for one stream, whose events are the ends of elements with these tags."""
    parser: Any = etree.XMLPullParser(events=("end",), tag=tuple(tags), **PARSER_OPTIONS)
    listed = _list_of_tags(parser)
    tags_of_lxml = listed[:]
    listed.clear()
    parser.feed(b"<first/>")
    parser.close()
    listed += tags_of_lxml
    return parser


def _list_of_tags(parser: Any) -> list[Any]:
    """lxml's own; an empty one where it cannot be found."""
    parser.read_events()  # which makes what the path begins with
    found: Any = parser
    for name in _PATH:
        referents = gc.get_referents(found)
        found = next((each for each in referents if type(each).__name__ == name), [])
    return found if isinstance(found, list) else []

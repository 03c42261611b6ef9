"""What can be seen of a stanza's children without its tree.

Most stanzas come as text and need no tree (emp.stream.shortcut), and making one takes longer than
all the rest of their way. Most of these are messages with a body and nothing else, or have no
children at all, and both can be told by looking at the text: it is well-formed, and in it "<"
begins a tag and nothing else.
"""

from __future__ import annotations

from typing import Final, Literal

from emp.stanza import Stanza

_END: Final = "</body></message>"


def glance(stanza: Stanza) -> str | Literal[False] | None:
    """The text of the only child, if that is a body without attributes; None if there is no child;
    False where that takes a tree, or where there is one already."""
    if stanza._tree is not None or stanza._contents is None:
        return False
    text = stanza._text
    if text is None:
        return False
    tags = text.count("<")
    if tags == 1:
        return None
    if tags == 4 and text.endswith(_END) and "<body>" in text:
        return stanza._contents[2]
    return False

"""Text of others made safe for logs and terminals: one line, nothing that steers a terminal.

Who writes to us chooses nicks, bodies, addresses and error texts. With a line feed in one he would
write log lines of his own; with an escape sequence he would have the operator's terminal do things;
with a mark of direction he would have it show them in another order.
"""

from __future__ import annotations

import re
from typing import Final

_ESCAPED: Final = re.compile(
    "["
    "\x00-\x08\x0a-\x1f\x7f-\x9f"  # controls: C0 but the tab, DEL, C1
    "\u2028\u2029"  # separators of lines and paragraphs
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # directions
    "\xad\u180e\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb"  # invisible, but for joiners
    "\U000e0000-\U000e007f"  # tags
    "\ud800-\udfff"  # lone surrogates, which cannot be written
    "]"
)


def printable(text: str) -> str:
    """The text in one line, with what a reader would not see as what it is written as in Python's
    strings: `\\n`, `\\x1b`, `\\u202e`."""
    return text if text.isprintable() else _ESCAPED.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return repr(match[0])[1:-1]

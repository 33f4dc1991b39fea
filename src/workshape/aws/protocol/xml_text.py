"""Text as XML 1.0 can hold it. A core.

Source: https://www.w3.org/TR/xml/#charsets
"""

import re
from xml.sax.saxutils import escape

REPLACEMENT = "\ufffd"
_NO_CHARACTER = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escaped(value: object) -> str:
    """Write a value as the text of an element.

    What is no character to XML, not even as a reference, becomes U+FFFD: one of them, in an error's message say, would
    make the whole answer unreadable. AWS: undocumented; we chose it.
    """
    # A carriage return written as it is would be read as a newline.
    return escape(_NO_CHARACTER.sub(REPLACEMENT, str(value)), {"\r": "&#13;"})

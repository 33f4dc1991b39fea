"""Which texts are surely harmless, remembered whatever the numbers in them. A core.

A client that writes its values into its statements never says the same twice, but for the numbers. No word that makes a
text suspicious has a digit in it: so what is not suspicious without its digits is not suspicious with them.
"""

from workshape.pgproxy.recognition import is_suspicious

SHAPES_MAX = 2048  # then all are forgotten, and learned anew: a few us each
TEXT_BYTES_MAX = 4 * 1024  # longer texts are seldom repeated
DIGITS = b"0123456789"


class Harmless:
    """Texts that leave nothing behind in their session, by what they are without their digits."""

    __slots__ = ("_shapes",)

    def __init__(self) -> None:
        self._shapes: set[bytes] = set()

    def __repr__(self) -> str:
        return f"<Harmless {len(self._shapes)}>"

    def knows(self, text: bytes) -> bool:
        """Whether a text is known to be harmless. With a backslash in it, that depends on the client's encoding."""
        return text.translate(None, DIGITS) in self._shapes and b"\\" not in text

    def learn(self, text: bytes) -> None:
        """Take note of a text that was found harmless, if others like it are, too."""
        if len(text) > TEXT_BYTES_MAX:
            return
        shape = text.translate(None, DIGITS)
        if not is_suspicious(shape):
            if len(self._shapes) >= SHAPES_MAX:
                self._shapes.clear()
            self._shapes.add(shape)

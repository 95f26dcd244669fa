"""What a terminal has printed last, so that whoever comes back sees it again."""

import re

_MODES = re.compile(rb"\x1b\[\?([0-9;]{1,40})([hl])|\x1bc")
_ALTERNATE = {b"47", b"1047", b"1049"}

# What a program asks the terminal. A terminal that is shown it again would answer again, into the shell.
_QUESTIONS = re.compile(
    rb"\x05|\x1bZ"
    rb"|\x1b\[[>=]?[0-9;]*c"  # what are you?
    rb"|\x1b\[\??[0-9;]*n"  # where is the cursor?
    rb"|\x1b\[>[0-9;]*q|\x1b\[\?u"  # which version, which keyboard?
    rb"|\x1b\[\??[0-9;]*\$p"  # is the mode set?
    rb"|\x1b\[(?:1[1-9]|2[01])[0-9;]*t"  # how large is the window?
    rb"|\x1b\][0-9;]+;\?(?:\x07|\x1b\\)"  # which colour?
    rb"|\x1bP[+$]q[^\x1b]{0,1000}\x1b\\"  # which capability?
)
_RESET = b"\x1bc"
_LINE_BYTES = 4096
"""How far is looked for the end of a line, where the oldest output is cut off."""


class RecentOutput:
    """The last `limit` bytes, and which modes (alternate screen, bracketed paste …) held before them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._data = bytearray()
        self._modes: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self._data)

    def add(self, data: bytes) -> None:
        """Take note of what was printed."""
        self._data += data
        if len(self._data) > self._limit + self._limit // 4:
            self._cut(len(self._data) - self._limit)

    def replay(self) -> bytes:
        """Return what makes a terminal, whatever it shows, look as if it had been there all the time."""
        before = b"".join(b"\x1b[?%b%b" % mode for mode in self._modes.items())
        return _RESET + before + _QUESTIONS.sub(b"", bytes(self._data))

    @property
    def full_screen(self) -> bool:
        """Whether a program has the whole screen for itself now, and can be asked to draw it again."""
        modes = _modes_after(self._modes, self._data)
        return any(modes.get(number) == b"h" for number in _ALTERNATE)

    def _cut(self, start: int) -> None:
        line_end = self._data.find(b"\n", start, start + _LINE_BYTES)
        start = start if line_end < 0 else line_end + 1
        self._modes = _modes_after(self._modes, self._data[:start])
        del self._data[:start]


def _modes_after(modes: dict[bytes, bytes], data: bytes | bytearray) -> dict[bytes, bytes]:
    modes = dict(modes)
    for found in _MODES.finditer(data):
        if found[1] is None:
            modes.clear()
            continue
        for number in filter(None, found[1].split(b";")):
            modes.pop(number, None)  # the order in which they were set counts
            modes[number] = found[2]
    return modes

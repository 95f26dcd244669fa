"""Text that a shell takes as it is: bash, or the plain POSIX shell that runs the launcher."""

import re

# Bash uses the bytes 1 and 127 for marks of its own and loses some of them; sbatch turns down a
# script that has a carriage return before a line end.
_CONTROL = re.compile(r"[\x01-\x08\x0b-\x1f\x7f]+")


def quoted(text: str) -> str:
    """Return text in single quotes, so that bash changes nothing in it; control characters are escaped."""
    inner = text.replace("'", "'\"'\"'")
    return "'" + _CONTROL.sub(lambda found: f"'$'{_octal(found[0])}''", inner) + "'"


def word(text: str) -> str:
    """Return text as one word of any POSIX shell, which has fewer quotes than bash."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


def _octal(characters: str) -> str:
    return "".join(f"\\{ord(character):03o}" for character in characters)

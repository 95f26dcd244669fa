"""Words of a plain POSIX shell, which has fewer quotes than bash: the launcher is run by the node's `sh`."""


def word(text: str) -> str:
    """Return text as one word, in which the shell changes nothing."""
    return "'" + text.replace("'", "'\"'\"'") + "'"

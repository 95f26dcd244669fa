"""Text that bash takes as it is."""


def quoted(text: str) -> str:
    """Return text in single quotes, so that bash changes nothing in it.

    A carriage return is written as an escape: sbatch turns down a script that has one before a line end.
    """
    inner = text.replace("'", "'\"'\"'").replace("\r", "'$'\\r''")
    return f"'{inner}'"

"""What a library says of a file that it cannot read."""


def first_line(error: Exception) -> str:
    """The first line of an error without its full stop, for use inside a sentence; its type where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")

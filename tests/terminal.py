"""What a program writes to a terminal, read at the terminal's end."""

import os


def shown(ours: int) -> str:
    """All that was written to the other end, which must be closed by all who hold it.

    One read may give a part of it: the system passes the text on in its own time.
    """
    found = b""
    try:
        while block := os.read(ours, 4096):
            found += block
    except OSError:  # how a terminal says that it is closed
        pass
    os.close(ours)
    return found.decode()

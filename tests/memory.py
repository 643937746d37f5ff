"""How much memory a call takes."""

import tracemalloc


def peak(f, *args):
    """The most bytes that a call takes, when it is not the first."""
    f(*args)
    tracemalloc.start()
    try:
        f(*args)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

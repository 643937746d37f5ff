"""What all tests run under."""

import os
import signal

# One BLAS thread, which has to be said before NumPy is imported: workers of `pytest -n` share the
# cores already, and idle threads of BLAS spin. What the tests start inherits it.
for library in ("OPENBLAS", "OMP", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

from tests.browser import browser, page  # noqa: E402, F401

# A shell starts its jobs in the background with Ctrl-C ignored, and tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples every time, and as much time for them as they take.
settings.register_profile(
    "autobp",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
    print_blob=True,
)
settings.load_profile("autobp")


def pytest_addoption(parser):
    help = "run without the hand-written fast paths of the engine"
    parser.addoption("--plain-engine", action="store_true", help=help)


def pytest_configure(config):
    if config.getoption("--plain-engine"):
        from autobp import fast_paths

        fast_paths.remove()


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items):
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """How many `-n auto` are: four at most. By then the longest of the files takes as long as the
    others, and in a container the number of cores may be that of a large host."""
    return min(os.cpu_count() or 1, 4)

"""Extras: the command that installs one works wherever this autobp came from."""

import importlib.metadata
import json

import pytest

from autobp import extras
from autobp.extras import MissingExtra, install_command, needed

from .test_package import ROOT


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """As if the package lay in site-packages, and pip had written this down of where it came from."""

    def installed(origin):
        class Distribution:
            def read_text(self, name):
                assert name == "direct_url.json"
                return origin and json.dumps(origin)

        monkeypatch.setattr(extras, "__file__", str(tmp_path / "autobp/extras.py"))
        monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Distribution())

    return installed


def test_a_clone_is_installed_in_place():
    assert install_command("plot") == f"pip install -e '{ROOT}[plot]'"
    assert install_command() == f"pip install -e {ROOT}"


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        (None, "'autobp[plot,wasm]'"),  # from an index
        ({"url": "file:///a%20b/c", "dir_info": {}}, "'/a b/c[plot,wasm]'"),
        ({"url": "file:///c/autobp-1.whl", "archive_info": {}}, "'/c/autobp-1.whl[plot,wasm]'"),
        ({"url": "https://a.b/c.zip"}, "'autobp[plot,wasm] @ https://a.b/c.zip'"),
        (
            {"url": "https://a.b/c", "vcs_info": {"vcs": "git"}},
            "'autobp[plot,wasm] @ git+https://a.b/c'",
        ),
    ],
)
def test_an_installation_is_installed_from_where_it_came(installed, origin, said):
    installed(origin)
    assert install_command("plot", "wasm") == f"pip install {said}"


def test_a_copy_that_was_never_installed(installed, monkeypatch):
    installed(None)

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    assert install_command() == "pip install autobp"


def test_options_and_another_pip():
    said = install_command("plot", pip=["python", "-m", "pip"], options=["--force-reinstall"])
    assert said.startswith("python -m pip install --force-reinstall ")


def test_the_package_of_an_extra():
    assert needed("json", "this test", "plot") is json
    with pytest.raises(MissingExtra, match=r"^this test needs nothing: pip install .*\[plot\]'$"):
        needed("nothing.at_all", "this test", "plot")

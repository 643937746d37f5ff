"""The command line, as far as it goes: the list of demos, and running one."""

import os
import re
import subprocess
import sys

import pytest

from autobp import cli


@pytest.fixture
def a_demo(tmp_path, monkeypatch):
    """A function that makes the only demo there is, with a given body."""

    def make(body):
        path = tmp_path / "small.py"
        path.write_text(
            f'"""A small demo.\n\nMore of it."""\nimport sys\ndef main():\n    {body}\n'
        )
        monkeypatch.setattr(cli.demo, "demos", lambda: {"small": path})

    return make


def test_demos_are_listed_with_a_line_each(capsys):
    assert cli.main(["demo"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(cli.demo.demos())
    assert len(lines) >= 15
    assert all(re.fullmatch(r"\w+ {2,}\S.*[.?]", line) and len(line) <= 80 for line in lines)
    assert not any(re.search(r"\bC\d\b", line) for line in lines)


def test_a_demo_gets_its_options_and_the_program_its_own_back(a_demo, capsys):
    a_demo("print(sys.argv, sys.path[0])")
    before = sys.argv, list(sys.path)
    assert cli.main(["demo", "small", "--quick", "--seed", "1"]) == 0
    assert capsys.readouterr().out.startswith("['autobp demo small', '--quick', '--seed', '1'] /")
    assert (sys.argv, sys.path) == before


def test_what_is_no_demo(capsys):
    assert cli.main(["demo", "fnord"]) == 2
    assert "there is no demo 'fnord'\n`autobp demo` lists them\n" in capsys.readouterr().err
    assert cli.main(["demo", "spirl"]) == 2
    assert "there is no demo 'spirl'; did you mean 'spiral'?" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["fnord"], ["demo", "losses", "--epochs", "0"]])
def test_wrong_use_is_2(argv, capsys):
    with pytest.raises(SystemExit) as error:
        cli.main(argv)
    assert error.value.code == 2
    assert "usage: autobp" in capsys.readouterr().err


def test_without_a_command_there_is_help(capsys):
    assert cli.main([]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("usage: autobp [-h]")
    assert not out


def test_ctrl_c_is_130(a_demo):
    a_demo("raise KeyboardInterrupt")
    assert cli.main(["demo", "small"]) == 130


@pytest.mark.skipif(os.name != "posix", reason="pipes of a shell")
def test_a_reader_that_has_enough():
    done = subprocess.run(
        f"{sys.executable} -u -m autobp demo | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "autobp", "demo", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "autobp demo spiral --out pictures" in done.stdout

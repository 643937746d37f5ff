"""The command line as a whole: its help, its streams, its exit codes; the demos."""

import io
import json
import os
import re
import shlex
import subprocess
import sys

import pytest

import autobp
from autobp import cli
from autobp.cli import console
from autobp.cli.console import Failure
from autobp.data import DataError
from tests.terminal import shown


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


@pytest.mark.parametrize("argv", [["--nonsense"], ["fnord"], ["demo", "losses", "--epochs", "0"]])
def test_wrong_use_is_2(argv, capsys):
    with pytest.raises(SystemExit) as error:
        cli.main(argv)
    assert error.value.code == 2
    assert "usage: autobp" in capsys.readouterr().err


def test_what_is_no_command(capsys):
    for argv, meant in (
        (["trian", "xor"], "; did you mean 'train'?"),
        (["fnord"], "; autobp --help lists them"),
    ):
        with pytest.raises(SystemExit, match="2"):
            cli.main(argv)
        said = f"autobp: error: there is no command {argv[0]!r}{meant}\n"
        assert capsys.readouterr().err.endswith(said)


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
        f"{shlex.quote(sys.executable)} -u -m autobp demo | head -n 1",
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


# ── all commands ──────────────────────────────────────────────────────────────────────────────────


def run(*argv, **options):
    command = [sys.executable, "-m", "autobp", *argv]
    return subprocess.run(command, capture_output=True, **{"text": True, **options})


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda command: command.__name__[11:])
def test_each_has_help_with_an_example_that_fits_a_terminal(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    name = command.__name__.rpartition(".")[2]
    with pytest.raises(SystemExit, match="0"):
        cli.main([name, "--help"])
    out = capsys.readouterr().out
    assert out.startswith(f"usage: autobp {name} [-h]")
    assert f"\nexamples:\n  autobp {name}" in out
    assert max(map(len, out.splitlines())) <= 80


def test_the_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"autobp {autobp.__version__}\n"


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from autobp.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'matplotlib', 'tqdm', 'graphviz', 'autobp.nn', 'autobp.data', 'autobp.train', 'autobp.verify'}\n"
        "sys.exit(', '.join(heavy & {*sys.modules}) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Failure("this is wrong", 2), 2, "this is wrong"),
        (DataError("no such data"), 1, "no such data"),
        (MemoryError(), 1, "there is not enough memory for this"),
        (FileNotFoundError(2, "No such file", "a/b"), 1, "a/b: No such file"),
        (OSError("the disk is full"), 1, "the disk is full"),
    ],
)
def test_what_goes_wrong_is_told(error, code, said, capsys, monkeypatch):
    def failing(*_):
        raise error

    monkeypatch.setattr(cli.demo, "run_demo", failing)
    assert cli.main(["demo", "xor"]) == code
    assert capsys.readouterr() == ("", f"autobp demo: {said}\n")


def test_a_fault_of_the_program_is_not_hidden(monkeypatch):
    monkeypatch.setattr(cli.demo, "run_demo", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["demo", "xor"])


def test_an_encoding_that_lacks_the_characters():
    done = run("draw", "a*b**2", "a=2", "b=-1", env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "`" not in done.stdout
    assert "|- a: input" in done.stdout
    assert "t3 = a x t2" in done.stdout
    assert "t2 = b^2" in done.stdout
    done = run("draw", "変数.a", env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 2
    assert "\n  ??.a\n" in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="closes a stream before it starts")
def test_where_there_is_no_stdout():
    done = run("doctor", preexec_fn=lambda: os.close(1))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(os.name != "posix", reason="closes a stream before it starts")
def test_where_there_is_no_stderr_results_stay_alone():
    done = run("draw", "2*a", "a=[1,2]", "--json", preexec_fn=lambda: os.close(2))
    assert done.returncode == 0
    assert json.loads(done.stdout)["value"] == [2, 4]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a full disk")
def test_a_full_disk():
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "autobp", "demo"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"},
        )
    assert (done.returncode, done.stderr) == (1, "autobp demo: No space left on device\n")


def on_a_terminal(*argv, **environment):
    """What a command writes to a terminal."""
    import pty  # late: it is not everywhere

    ours, theirs = pty.openpty()
    env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM")}
    with subprocess.Popen(
        [sys.executable, "-m", "autobp", *argv],
        stdout=theirs,
        stderr=theirs,
        env=env | {"TERM": "xterm", **environment},
    ):
        os.close(theirs)
        return shown(ours)


@pytest.mark.skipif(os.name != "posix", reason="needs a terminal")
def test_colours_are_for_terminals_that_have_them():
    argv = ("check", "sin")
    assert "\x1b[32mok\x1b[0m" in on_a_terminal(*argv)
    assert "\x1b" not in on_a_terminal(*argv, NO_COLOR="1")
    assert "\x1b" not in on_a_terminal(*argv, TERM="dumb")
    assert "\x1b" not in run(*argv).stdout


def test_json_of_what_is_not_finite_and_of_paths(tmp_path):
    found = console.as_json({"a": [1.0, float("inf")], 2: (float("nan"),), "path": tmp_path})
    assert '"a": [\n    1.0,\n    null\n  ]' in found
    assert '"2": [\n    null\n  ]' in found
    assert str(tmp_path) in found


def test_characters_that_an_encoding_lacks(monkeypatch):
    written = io.BytesIO()
    with monkeypatch.context() as streams:
        streams.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii"))
        console.prepare()
        print("20 µs, x² · y⁻¹⁰ ± ‖∂a‖ → 変", flush=True)
        assert written.getvalue() == b"20 us, x^2 * y^-10 +- ||da|| -> ?\n"


def test_a_stream_without_an_encoding(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert cli.main(["demo"]) == 0
    assert "spiral" in sys.stdout.getvalue()

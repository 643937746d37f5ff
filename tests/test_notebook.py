"""The notebook: it runs, and says what it said when it was written."""

import json
import re

import nbformat
import pytest

from autobp.cli import guide

from .notebook import NOTEBOOK, executed

NUMBER = r"(?<![\w.])[-−]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?"


@pytest.fixture(scope="module")
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def again(tmp_path_factory):
    """The notebook, run where the program `dot` is not found."""
    folder = tmp_path_factory.mktemp("notebook")
    return executed(folder, PATH=str(folder))


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text(output):
    return output.get("text") or output.data.get("text/plain", "")


def words(text):
    """What is said, apart from numbers and alignment."""
    return re.sub(NUMBER, "#", text).replace("─", "").split()


def numbers(text):
    return [float(n.replace("−", "-").replace(",", "")) for n in re.findall(NUMBER, text)]


def test_it_runs_without_a_complaint(again):
    for cell in code(again):
        for output in cell.outputs:
            assert output.output_type in ("stream", "execute_result")
            assert output.get("name") != "stderr", output.text


def test_it_says_what_it_said(notebook, again):
    for before, now in zip(code(notebook), code(again), strict=True):
        assert now.execution_count == before.execution_count
        for old, new in zip(before.outputs, now.outputs, strict=True):
            if "measured" in now.metadata.get("tags", ()):
                first = r"^[a-z][a-z ,-]*?(?=  )"
                assert re.findall(first, text(new), re.M) == re.findall(first, text(old), re.M)
            else:
                assert words(text(new)) == words(text(old))
                assert numbers(text(new)) == pytest.approx(numbers(text(old)), rel=0.02)
            kinds = [set(output.get("data", {})) for output in (old, new)]
            if "image/svg+xml" in kinds[0]:
                kinds[0].discard("image/png")  # which dot writes
            assert kinds[1] == kinds[0]


def test_what_it_shows(notebook):
    shown = [set(output.data) for cell in code(notebook) for output in cell.outputs if "data" in output]  # fmt: skip
    assert sum("image/svg+xml" in kinds for kinds in shown) == 1
    assert sum("text/html" in kinds for kinds in shown) == 1  # the player
    assert sum(kinds == {"image/png", "text/plain"} for kinds in shown) == 2


def test_its_graph_fits_a_page(notebook):
    """Notebooks exported as HTML show SVG as wide as it says it is, and scroll what is wider."""
    shown = [output.data for cell in code(notebook) for output in cell.outputs if "data" in output]
    (drawn,) = (data["image/svg+xml"] for data in shown if "image/svg+xml" in data)
    assert float(re.match(r'<svg width="([\d.]+)pt"', drawn)[1]) * 4 / 3 < 850  # pixels


def test_it_goes_the_way_of_the_tour(notebook):
    cells = "\n".join(cell.source for cell in code(notebook))
    assert guide.NETWORK[guide.NETWORK.index("def network") :].strip() in cells
    assert guide.NEURON[guide.NEURON.index("w1") :].strip() in cells
    titles = [cell.source.splitlines()[0] for cell in notebook.cells if cell.source[:2] == "##"]
    assert [re.match(r"## (\d)", title)[1] for title in titles[:-1]] == list("123456")


def test_it_is_fit_to_be_kept(notebook):
    assert NOTEBOOK.stat().st_size < 500_000
    whole = NOTEBOOK.read_text(encoding="utf-8")
    assert not re.search(r"/(home|root|tmp|Users)/|[A-Z]:\\\\|Linux|Darwin|Windows", whole)
    assert json.loads(whole)["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert [cell.execution_count for cell in code(notebook)] == [*range(1, 1 + len(code(notebook)))]

"""The notebook executed: the tests compare what it says; `python -m tests.notebook` writes it anew."""

import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "demos/tour.ipynb"


def executed(folder, **environment):
    """The notebook with the outputs of now, run in a folder; it says nothing of this machine."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook, timeout=600, startup_timeout=600, record_timing=False, coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )  # fmt: skip
    ours = {"PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder)}
    client.execute(env={**os.environ, **ours, **environment})
    notebook.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python"},
    }
    return notebook


if __name__ == "__main__":
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        nbformat.write(executed(folder), NOTEBOOK)

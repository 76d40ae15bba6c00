"""Execute the tutorial in an empty folder; --write keeps its outputs but for standard error.

    python docs/execute.py [--write]

ends with an error where a cell does.
"""

import argparse
import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).with_name("tutorial.ipynb")
TIMEOUT_S = 240


def main() -> None:
    """Execute it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="keep the outputs")
    arguments = parser.parse_args()
    os.environ |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with tempfile.TemporaryDirectory() as empty:
        NotebookClient(
            notebook,
            timeout=TIMEOUT_S,
            record_timing=False,
            resources={"metadata": {"path": empty}},
        ).execute()
    for cell in notebook.cells:
        shown = cell.get("outputs", [])
        cell["outputs"] = [entry for entry in shown if entry.get("name") != "stderr"]
        if cell.cell_type != "code":
            del cell["outputs"]
    if arguments.write:
        nbformat.write(notebook, NOTEBOOK)


if __name__ == "__main__":
    main()

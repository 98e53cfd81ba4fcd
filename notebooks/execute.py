"""Runs notebooks from the first cell to the last and fails if one does. `--write` keeps the outputs.

    python notebooks/execute.py            every notebook, outputs thrown away
    python notebooks/execute.py --write    refresh what is committed
"""

import pathlib
import sys

import nbformat
from nbclient import NotebookClient

HERE = pathlib.Path(__file__).resolve().parent
for path in sorted(HERE.glob("*.ipynb")):
    book = nbformat.read(path, as_version=4)
    NotebookClient(book, timeout=600, kernel_name="python3", resources={"metadata": {"path": HERE}}).execute()
    if "--write" in sys.argv:
        for cell in book.cells:
            # Times and counters change with every run and say nothing.
            cell.get("metadata", {}).pop("execution", None)
        book.metadata.pop("widgets", None)
        book.metadata["language_info"] = {"name": "python"}
        nbformat.write(book, path)
    print(f"{path.name}: {sum(c.cell_type == 'code' for c in book.cells)} cells ran")

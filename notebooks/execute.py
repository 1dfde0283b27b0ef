"""Run the notebooks of this folder in a fresh kernel and keep their outputs.

    python notebooks/execute.py [NOTEBOOK ...]

The kernel is that of the running interpreter, whatever kernels are installed. What is kept depends on the code alone:
no times, no versions, no state of widgets.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from ipykernel.kernelspec import write_kernel_spec
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError
from nbformat import NotebookNode

FOLDER = Path(__file__).resolve().parent

#: Seconds that a single cell may take, and kernels that are tried: now and then one loses a message and waits for ever.
TIMEOUT, KERNELS = 300, 2


def execute(
    notebook: NotebookNode, directory: str | Path, client: type[NotebookClient] = NotebookClient
) -> NotebookClient:
    """Run ``notebook`` in place, all outputs anew.

    Args:
        notebook: what to run.
        directory: working directory of the kernel, which keeps its own files there too.
        client: front end that runs it.

    Returns:
        The front end, whose ``nb`` is ``notebook``.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised an exception.
        nbclient.exceptions.CellTimeoutError: a cell did not end, in any kernel.
    """
    for _ in range(KERNELS - 1):
        try:
            return _execute_once(notebook, directory, client)
        except CellTimeoutError as error:
            print(f"a cell did not end, once more in a new kernel: {error}", file=sys.stderr, flush=True)
    return _execute_once(notebook, directory, client)


def _execute_once(notebook: NotebookNode, directory: str | Path, client: type[NotebookClient]) -> NotebookClient:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    specs = Path(directory) / "kernels"
    if not specs.exists():  # of the kernel before
        write_kernel_spec(specs / "python3")
    manager = AsyncKernelManager(
        kernel_name="python3",
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(specs)], ensure_native_kernel=False),
        connection_file=str(Path(directory) / "kernel.json"),
    )
    front_end = client(
        notebook,
        km=manager,
        timeout=TIMEOUT,
        coalesce_streams=True,
        record_timing=False,
        resources={"metadata": {"path": str(directory)}},
    )
    environment = {
        **os.environ,
        # One thread: sums are in one order, and kernels beside each other do not compete for cores.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "IPYTHONDIR": str(directory),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    front_end.execute(env=environment, cleanup_kc=True)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return front_end


def main(paths: list[Path]) -> None:
    """Run the notebooks at ``paths``, each replaced by its executed self once it has run to its end."""
    for path in paths:
        print(f"running {path.name}", flush=True)
        notebook = nbformat.read(path, as_version=4)
        with tempfile.TemporaryDirectory() as directory:
            execute(notebook, directory)
        partial = path.with_suffix(".partial")
        nbformat.write(notebook, partial)
        partial.replace(path)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]] or sorted(FOLDER.glob("*.ipynb")))

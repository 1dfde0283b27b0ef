"""Sweeps: one function on many points, on any executor, resumable.

A sweep calls a module-level function of keyword arguments that are JSON values, once a point, on any
:class:`concurrent.futures.Executor`, and keeps what each call returned in a SQLite file. A point is known by its
content: an interrupted or killed sweep goes on where it was when the same call is made again, and a sweep over more
points computes the new ones only. A point that raises is recorded with its error and does not stop the others.

Local processes, one a CPU and one BLAS thread each, are the default::

    from ufm import sweeps

    points = [
        {"architecture": {"type": "LinearDEQ", "E_W": 1.0, "E_H": 5.0, "rho": rho}, "counts": [ratio] * 5 + [1.0] * 5}
        for rho in (0.0, 0.3, 0.5)
        for ratio in (10.0, 100.0, 1000.0)
    ]
    if __name__ == "__main__":  # worker processes import the script
        table = sweeps.run(sweeps.solve_point, points, store="deq.sqlite")
        print([record.result["geometry"]["phase"] for record in table.finished])

A Dask cluster (package ``distributed``), local or on many machines::

    from distributed import Client

    with Client("scheduler.example.org:8786") as client:
        table = sweeps.run(sweeps.train_point, points, store="trainings.sqlite", executor=client.get_executor())

MPI (package ``mpi4py``), started as ``mpiexec -n 64 python -m mpi4py.futures sweep.py``::

    from mpi4py.futures import MPIPoolExecutor

    if __name__ == "__main__":
        with MPIPoolExecutor() as executor:
            table = sweeps.run(sweeps.solve_point, points, store="deq.sqlite", executor=executor, max_in_flight=256)

Only the process that calls :func:`run` opens the file, so it may lie on a disk that the workers do not see. SQLite's
write-ahead log needs a file system with shared memory: keep the file on a local disk rather than on a network share.
"""

from __future__ import annotations

from ufm.sweeps._pool import processes
from ufm.sweeps._run import run, versioned
from ufm.sweeps._store import Failure, Record, SweepDamaged, Table, load, repair
from ufm.sweeps.engine import SweepBroken, SweepInterrupted
from ufm.sweeps.points import solve_point, train_point

__all__ = [
    "Failure",
    "Record",
    "SweepBroken",
    "SweepDamaged",
    "SweepInterrupted",
    "Table",
    "load",
    "processes",
    "repair",
    "run",
    "solve_point",
    "train_point",
    "versioned",
]

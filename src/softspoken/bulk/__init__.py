"""Many recordings at once: one record for each, whatever is killed on the way. What transcribes is handed in."""

from softspoken.bulk.inputs import Item, items_of
from softspoken.bulk.ledger import Ledger
from softspoken.bulk.pool import Load, Work, WorkerPool, run_pool
from softspoken.bulk.processes import Processes
from softspoken.bulk.ray_actors import RayActors

__all__ = ["Item", "Ledger", "Load", "Processes", "RayActors", "Work", "WorkerPool", "items_of", "run_pool"]

"""Many recordings at once: one record for each, whatever is killed on the way. What transcribes is handed in."""

from softspoken.bulk.crew import Crew, Load, Work, work_through
from softspoken.bulk.inputs import Item, items_of
from softspoken.bulk.ledger import Ledger
from softspoken.bulk.processes import Processes
from softspoken.bulk.ray_actors import RayActors

__all__ = ["Crew", "Item", "Ledger", "Load", "Processes", "RayActors", "Work", "items_of", "work_through"]

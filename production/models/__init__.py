"""The rows that are the truth; the queue only rings."""

from production.models.job import Job
from production.models.money import LedgerEntry
from production.models.notion import NotionBoard, NotionEvent
from production.models.operations import Alert, Heartbeat
from production.models.take import IN_FLIGHT, LIVE, Provider, Take
from production.models.task import Approval, Asset, Clip, Priority, StatusChange, Task

__all__ = [
    "IN_FLIGHT",
    "LIVE",
    "Alert",
    "Approval",
    "Asset",
    "Clip",
    "Heartbeat",
    "Job",
    "LedgerEntry",
    "NotionBoard",
    "NotionEvent",
    "Priority",
    "Provider",
    "StatusChange",
    "Take",
    "Task",
]

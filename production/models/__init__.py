"""The rows that are the truth; the queue only rings."""

from production.models.alerts import Alert, Delivery
from production.models.decision import Decision, Presence
from production.models.job import Job
from production.models.lane import Provider, Turn, Window
from production.models.money import Cap, LedgerEntry, Meter, Tally
from production.models.notion import NotionBoard, NotionDrift, NotionEvent, NotionWrite
from production.models.operations import SWEEP, FailedJob, Heartbeat, UsualTime
from production.models.sharing import Place, SharedFile, Sharing
from production.models.take import IN_FLIGHT, LIVE, Take
from production.models.task import Approval, Asset, Clip, Priority, StatusChange, Task

__all__ = [
    "IN_FLIGHT",
    "LIVE",
    "SWEEP",
    "Alert",
    "Approval",
    "Asset",
    "Cap",
    "Clip",
    "Decision",
    "Delivery",
    "FailedJob",
    "Heartbeat",
    "Job",
    "LedgerEntry",
    "Meter",
    "NotionBoard",
    "NotionDrift",
    "NotionEvent",
    "NotionWrite",
    "Place",
    "Presence",
    "Priority",
    "Provider",
    "SharedFile",
    "Sharing",
    "StatusChange",
    "Take",
    "Tally",
    "Task",
    "Turn",
    "UsualTime",
    "Window",
]

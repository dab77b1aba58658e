"""The doorbell: a ring says "there may be work"; the rows say which."""

import structlog
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ
from django_q.tasks import async_task

log = structlog.get_logger(__name__)


def ring(job: str, *args: object, cluster: str = "") -> None:
    """Enqueue `job` (dotted address) once the running transaction has committed, never before.

    A lost ring costs a sweep's pause, a doubled one nothing: every job first asks the rows.
    """
    transaction.on_commit(lambda: async_task(job, *args, cluster=cluster or settings.CLUSTERS[0], save=False))


def is_anybody_waiting(cluster: str) -> bool:
    """Whether a job stands in the cluster's line that no worker has taken yet."""
    return bool(OrmQ.objects.filter(key=cluster, lock__lte=timezone.now()).exists())

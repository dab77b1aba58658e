"""`/health`: this process answers. `/ready`: it could do its work now."""

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse

from production.models import Heartbeat


def health(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """200 when the database answers, its schema is ours and a worker has beaten lately; else 503 with what lacks."""
    lacks = _lacks()
    return JsonResponse({"status": "ready" if not lacks else "not ready", "lacks": lacks}, status=503 if lacks else 200)


def _lacks() -> list[str]:
    try:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            return ["migrations: run manage.py migrate"]
        if not Heartbeat.objects.alive().exists():
            return ["a worker: run manage.py worker"]
        if not Heartbeat.objects.sweeps():
            return ["the sweep: no round has ended lately; see the workers' logs"]
    except DatabaseError as error:
        return [f"the database ({type(error).__name__}): see DATABASE_URL"]
    return []

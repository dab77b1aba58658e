"""`POST /callback/<token>`: a provider says that a render has moved. The body is not signed, so it is only a hint:
it tells which job belongs to our token, and that asking now is worth while."""

import json
import uuid

import structlog
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from production import takes
from production.broker import ring
from production.dispatch import ASK
from production.outside import storable
from production.providers import cluster

log = structlog.get_logger(__name__)


@csrf_exempt
@require_POST
def callback(request: HttpRequest, token: uuid.UUID) -> JsonResponse:
    """Always 200 for what can be read: a provider that is told "no" would only repeat itself."""
    try:
        ref = _job_id(request.body)
    except (RequestDataTooBig, ValueError, RecursionError):
        return JsonResponse({"error": "no job id in the body"}, status=400)
    take = takes.heard_of(token, ref)
    if take:
        ring(ASK, take.lane_id, cluster=cluster(take.lane_id))
    log.info("callback_hint_received", ref=ref, take=take.pk if take else None)
    return JsonResponse({"result": "heard"})


def _job_id(body: bytes) -> str:
    """The provider's job id: data.taskId (older KIE endpoints: task_id). Errors: ValueError."""
    said = storable(json.loads(body))
    data = said.get("data") if isinstance(said, dict) else None
    ref = (data.get("taskId") or data.get("task_id")) if isinstance(data, dict) else None
    if not isinstance(ref, str) or not 0 < len(ref) <= 200:
        raise ValueError("no job id")
    return ref

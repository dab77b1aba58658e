"""`POST /callback/<token>`: a provider says that a render has moved. The signature, where the account has a key for it,
covers job and time but not the body, so it is only a hint: it tells which job belongs to our token, and that asking now
is worth while."""

import base64
import hmac
import json
import time
import uuid

import structlog
from django.conf import settings
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
AGE = 600  # seconds between signing and arrival; the clocks of two houses differ


@csrf_exempt
@require_POST
def callback(request: HttpRequest, token: uuid.UUID) -> JsonResponse:
    """200 for what can be read, 401 for what should be signed with KIE_WEBHOOK_KEY and is not."""
    try:
        ref = _job_id(request.body)
    except (RequestDataTooBig, ValueError, RecursionError):
        return JsonResponse({"error": "no job id in the body"}, status=400)
    if settings.KIE_WEBHOOK_KEY and not _is_signed(request, ref):
        log.warning("callback_request_refused", ref=ref)
        return JsonResponse({"error": "the signature is missing, wrong or old"}, status=401)
    take = takes.heard_of(token, ref)
    if take:
        ring(ASK, take.lane_id, cluster=cluster(take.lane_id))
    log.info("callback_hint_received", ref=ref, take=take.pk if take else None)
    return JsonResponse({"result": "heard"})


def _is_signed(request: HttpRequest, ref: str) -> bool:
    """X-Webhook-Signature is the base64 of HMAC-SHA256 over "job.timestamp"; one older than AGE is somebody's copy."""
    at = request.headers.get("X-Webhook-Timestamp", "")
    if not at.isdecimal() or abs(time.time() - int(at[:12])) > AGE:
        return False
    digest = hmac.digest(settings.KIE_WEBHOOK_KEY.encode(), f"{ref}.{at}".encode(), "sha256")
    signature = request.headers.get("X-Webhook-Signature", "")
    return hmac.compare_digest(base64.b64encode(digest), signature.encode())


def _job_id(body: bytes) -> str:
    """The provider's job id: data.taskId (older KIE endpoints: task_id). Errors: ValueError."""
    said = storable(json.loads(body))
    data = said.get("data") if isinstance(said, dict) else None
    ref = (data.get("taskId") or data.get("task_id")) if isinstance(data, dict) else None
    if not isinstance(ref, str) or not 0 < len(ref) <= 200:
        raise ValueError("no job id")
    return ref

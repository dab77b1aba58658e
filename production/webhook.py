"""`POST /webhook/notion`: stored, then answered 202. What it means is found out by a job."""

import structlog
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from production import intake

log = structlog.get_logger(__name__)
ANSWERS = {"stored": 202, "known": 200, "handshake": 200}


@csrf_exempt
@require_POST
def notion(request: HttpRequest) -> JsonResponse:
    """202 stored, 200 known already or handshake, 400 malformed, 401 unsigned or wrongly signed, 413 over 1 MB."""
    try:
        body = request.body
    except RequestDataTooBig:
        return _refused(413, "a webhook over 1 MB is not Notion's")
    try:
        answer = intake.receive(body, request.headers.get("X-Notion-Signature", ""))
    except intake.UnsignedError:
        return _refused(401, "the signature is missing or wrong")
    except intake.MalformedError as error:
        return _refused(400, str(error))
    return JsonResponse({"result": answer}, status=ANSWERS[answer])


def _refused(status: int, reason: str) -> JsonResponse:
    log.warning("webhook_request_refused", status=status, reason=reason)
    return JsonResponse({"error": reason}, status=status)

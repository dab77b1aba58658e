"""`POST /webhook/notion`: stored, then answered. What it means is found out by a job."""

import structlog
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from production import reception

log = structlog.get_logger(__name__)
STATUSES = {"stored": 202, "known": 200, "handshake": 200, "ignored": 200}


@csrf_exempt
@require_POST
def notion(request: HttpRequest) -> JsonResponse:
    """202 stored, 200 known already, ignored or handshake, 400 malformed, 401 unsigned or wrongly signed, 413 over
    1 MB. An automation that shows the secret is answered 2xx whatever it sends."""
    try:
        shown = request.headers.get(reception.HEADER)
        return _answer(_signed(request) if shown is None else _automation(request, shown))
    except RequestDataTooBig:
        return _refused(413, "a webhook over 1 MB is not Notion's")
    except reception.UnsignedError:
        return _refused(401, "the signature or secret is missing or wrong")
    except reception.MalformedError as error:
        return _refused(400, str(error))


def _signed(request: HttpRequest) -> str:
    return reception.receive(request.body, request.headers.get("X-Notion-Signature", ""))


def _automation(request: HttpRequest, shown: str) -> str:
    reception.require_secret(shown)
    try:
        body = request.body
    except RequestDataTooBig:
        body = None
    return reception.receive_from_automation(body)


def _answer(word: str) -> JsonResponse:
    return JsonResponse({"result": word}, status=STATUSES[word])


def _refused(status: int, reason: str) -> JsonResponse:
    log.warning("webhook_request_refused", status=status, reason=reason)
    return JsonResponse({"error": reason}, status=status)

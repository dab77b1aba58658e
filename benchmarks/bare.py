"""The webhook's peer: the least a Django view can do. It checks the HMAC and answers 202; nothing is stored.

Served as the real one is (`gunicorn benchmarks.bare`), it shows what the web server and Django themselves cost.
"""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from production.outside import is_signed

SECRET = os.environ["BARE_SECRET"]


def notion(request: HttpRequest) -> JsonResponse:
    signed = is_signed(request.body, request.headers.get("X-Notion-Signature", ""), SECRET)
    return JsonResponse({"result": "stored" if signed else "refused"}, status=202 if signed else 401)


def health(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


urlpatterns = [path("webhook/notion", notion), path("health", health)]
settings.configure(
    ROOT_URLCONF=__name__,
    SECRET_KEY="of-the-bench",  # noqa: S106 - it signs nothing
    ALLOWED_HOSTS=["127.0.0.1"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],  # says how long the answer is
)
application = get_wsgi_application()

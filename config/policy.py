"""The content security policy: every page runs its own files only; what unfold's base needs besides its pages get.

Alpine, which drives unfold's menus and tabs, compiles expressions (`unsafe-eval`); its colours and positions are
written into the page (`unsafe-inline`, styles only). No script is ever inline, nothing comes from another host.
"""

from typing import Any

from csp.constants import SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.middleware import CSPMiddleware, PolicyParts
from django.http import HttpRequest, HttpResponseBase

UNFOLD = {"script-src": [SELF, UNSAFE_EVAL], "style-src": [SELF, UNSAFE_INLINE]}
OF_UNFOLD = "sidebar_navigation"  # what each page that extends unfold's base is given


class PolicyMiddleware(CSPMiddleware):
    def get_policy_parts(
        self,
        request: HttpRequest,
        response: HttpResponseBase,
        report_only: bool = False,  # noqa: FBT001, FBT002 - django-csp's
    ) -> PolicyParts:
        parts = super().get_policy_parts(request, response, report_only)
        context: dict[str, Any] = getattr(response, "context_data", None) or {}
        if OF_UNFOLD in context:
            parts.replace = UNFOLD
        return parts

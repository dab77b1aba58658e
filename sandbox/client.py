"""A small typed client of the control API, for the demo and the tests."""

import json
from pathlib import Path
from typing import Any, TypedDict

import requests

TIMEOUT = 30  # seconds


class Line(TypedDict):
    """One line of the summary: what an operation of a vendor was called for and billed."""

    vendor: str
    operation: str
    calls: int
    accepted: int
    billed: int
    usd: float


class Page(TypedDict):
    """A Notion page as a person sees it: plain values by property name."""

    id: str
    url: str
    in_trash: bool
    properties: dict[str, Any]


class ControlError(Exception):
    """The control API refused; the message is its own."""


def read_addresses(state: Path) -> dict[str, str]:
    """The environment names and addresses a running sandbox wrote into its state folder."""
    addresses: dict[str, str] = json.loads((state / "addresses.json").read_text())
    return addresses


def board_properties(channels: list[str], statuses: list[str], priorities: list[str]) -> dict[str, Any]:
    """The properties of a board of videos (FR1), with the given options; the shape POST /v1/databases takes."""

    def options(names: list[str]) -> dict[str, Any]:
        return {"select": {"options": [{"name": name} for name in names]}}

    texts = ("Topic", "Story Direction", "Error Log", "Retry", "Progress")
    return {
        "Title": {"title": {}},
        "Channel": options(channels),
        **{name: {"rich_text": {}} for name in texts},
        "Status": options(statuses),
        "Priority": options(priorities),
        "YouTube URL": {"url": {}},
        "Privacy": options(["private", "unlisted", "public"]),
        "Publish At": {"date": {}},
        "Cost": {"number": {"format": "dollar"}},
        "Updated": {"last_edited_time": {}},
        "Assets": {"files": {}},
    }


class SandboxClient:
    """The sandbox from outside: `SandboxClient(os.environ["SANDBOX_CONTROL_URL"])`; raises ControlError."""

    def __init__(self, control_url: str) -> None:
        self._url = control_url.rstrip("/")
        self._http = requests.Session()

    def close(self) -> None:
        self._http.close()

    def calls(self, vendor: str = "", operation: str = "") -> list[dict[str, Any]]:
        """The books: every call with vendor, operation, status, accepted, ref, usd, units, text, digest, fault."""
        found: list[dict[str, Any]] = self._ask("GET", "/books", params={"vendor": vendor, "operation": operation})
        return found

    def paid(self, vendor: str = "") -> list[dict[str, Any]]:
        """The calls that were billed."""
        return [call for call in self.calls(vendor) if call["usd"] > 0]

    def summary(self) -> list[Line]:
        lines: list[Line] = self._ask("GET", "/books/summary")["lines"]
        return lines

    def spent_usd(self) -> float:
        return float(self._ask("GET", "/books/summary")["usd"])

    def plan_fault(self, vendor: str, kind: str, operation: str = "", **details: Any) -> None:
        """Trouble for the next calls; details: times, match, status, body, headers, seconds, after_bytes."""
        self._ask("POST", "/faults", {"vendor": vendor, "kind": kind, "operation": operation, **details})

    def planned_faults(self, kind: str = "") -> list[dict[str, Any]]:
        """The troubles not met yet, of one kind or all."""
        planned: list[dict[str, Any]] = self._ask("GET", "/faults")
        return [fault for fault in planned if kind in ("", fault["kind"])]

    def clear_faults(self) -> None:
        self._ask("DELETE", "/faults")

    def set_pace(self, name: str | None = None, **seconds: float) -> dict[str, float]:
        """A named pace and/or single values in seconds; returns the pace in force."""
        wanted: dict[str, Any] = {**({"name": name} if name else {}), **seconds}
        pace: dict[str, float] = self._ask("POST", "/pace", wanted)
        return pace

    def set_limits(self, *, on: bool) -> None:
        """Whether the vendors' limits of calls in a span of time hold (docs/sandbox.md lists them)."""
        self._ask("POST", "/limits", {"on": on})

    def create_database(self, title: str, properties: dict[str, Any]) -> tuple[str, str]:
        """Ids of the new database and of its data source; for the properties see `board_properties`."""
        made = self._ask("POST", "/notion/databases", {"title": title, "properties": properties})
        return made["database_id"], made["data_source_id"]

    def edit_database(self, data_source_id: str, properties: dict[str, Any]) -> dict[str, Any]:
        """A person changes columns: {"Topic": {"name": "Subject"}}; the columns as the API shows them."""
        edited = self._ask("PATCH", f"/notion/data_sources/{data_source_id}", {"properties": properties})
        return dict(edited["properties"])

    def database(self, data_source_id: str) -> dict[str, Any]:
        """The columns as the API shows them."""
        return dict(self._ask("GET", f"/notion/data_sources/{data_source_id}")["properties"])

    def set_notion_plan(self, *, paid: bool) -> None:
        """A free workspace takes files up to 5 MB and none in parts."""
        self._ask("POST", "/notion/plan", {"paid": paid})

    def create_page(self, data_source_id: str, properties: dict[str, Any]) -> Page:
        """A person adds a row; plain values: {"Title": "Bees", "Status": "Queued"}."""
        page: Page = self._ask("POST", "/notion/pages", {"data_source_id": data_source_id, "properties": properties})
        return page

    def edit_page(self, page_id: str, properties: dict[str, Any]) -> Page:
        """A person changes cells of a row."""
        page: Page = self._ask("PATCH", f"/notion/pages/{page_id}", {"properties": properties})
        return page

    def page(self, page_id: str) -> Page:
        page: Page = self._ask("GET", f"/notion/pages/{page_id}")
        return page

    def pages(self, data_source_id: str) -> list[Page]:
        pages: list[Page] = self._ask("GET", "/notion/pages", params={"data_source_id": data_source_id})
        return pages

    def subscribe(self, url: str) -> tuple[str, int]:
        """Sends the webhook handshake; returns the verification token and the HTTP status it was answered with."""
        made = self._ask("POST", "/notion/subscriptions", {"url": url})
        return made["verification_token"], made["handshake_status"]

    def verify(self, token: str) -> None:
        """The human pastes the token back: delivery begins."""
        self._ask("POST", "/notion/subscriptions/verify", {"token": token})

    def unsubscribe(self) -> None:
        self._ask("DELETE", "/notion/subscriptions")

    def automate(self, url: str, headers: dict[str, str]) -> None:
        """A person adds a "Send webhook" action that is run when any row changes."""
        self._ask("POST", "/notion/automations", {"url": url, "headers": headers})

    def automations(self) -> list[dict[str, Any]]:
        """The actions with url, headers and whether Notion has paused them."""
        found: list[dict[str, Any]] = self._ask("GET", "/notion/automations")
        return found

    def stop_automations(self) -> None:
        self._ask("DELETE", "/notion/automations")

    def jobs(self) -> list[dict[str, Any]]:
        """KIE's render jobs as recordInfo tells them, with prompt and seed."""
        jobs: list[dict[str, Any]] = self._ask("GET", "/kie/jobs")
        return jobs

    def set_credits(self, left: float) -> None:
        self._ask("POST", "/kie/credits", {"left": left})

    def set_webhook_key(self, key: str) -> None:
        """The key that KIE signs its callbacks with; an empty one: it doesn't."""
        self._ask("POST", "/kie/webhook-key", {"key": key})

    def videos(self) -> list[dict[str, Any]]:
        """YouTube's videos: id, sha256, bytes, snippet, status, session."""
        videos: list[dict[str, Any]] = self._ask("GET", "/youtube/videos")
        return videos

    def set_account(self, refresh_token: str, channel_id: str, title: str) -> None:
        """Which YouTube channel a refresh token opens."""
        body = {"refresh_token": refresh_token, "channel_id": channel_id, "title": title}
        self._ask("POST", "/google/accounts", body)

    def set_consent(self, refresh_token: str = "", scopes: list[str] | None = None) -> None:
        """What the owners who are asked next give: this refresh token (else a new one), these scopes (else all)."""
        self._ask("POST", "/google/consent", {"refresh_token": refresh_token, "scopes": scopes or []})

    def revoke(self, refresh_token: str) -> None:
        self._ask("POST", "/google/revoke", {"refresh_token": refresh_token})

    def restore(self, refresh_token: str) -> None:
        self._ask("POST", "/google/restore", {"refresh_token": refresh_token})

    def _ask(self, method: str, path: str, body: Any = None, params: dict[str, str] | None = None) -> Any:
        answer = self._http.request(method, self._url + path, json=body, params=params, timeout=TIMEOUT)
        if not answer.ok:
            raise ControlError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json() if answer.content else None

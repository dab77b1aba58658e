"""`POST /webhook/notion` and `POST /callback/…`: what is stored, what is refused, and with which number."""

import base64
import hashlib
import hmac
import json
import time
import uuid

import pytest
import requests
from django.test import Client
from django.utils import timezone

from production import dispatch, jobs, reception, takes
from production.errors import Kind, Trouble
from production.models import NotionBoard, NotionEvent, Take, Task
from production.stages import Status
from sandbox.kie import WEBHOOK_KEY
from tests.factories import make_channel, make_take, make_task
from tests.rings import rings
from tests.sandboxes import KEY, make_board
from tests.vendor import listening
from tests.waiting import eventually

pytestmark = pytest.mark.django_db
SECRET = "secret_of-the-tests"
URL = "/webhook/notion"


@pytest.fixture(autouse=True)
def _no_secret_is_remembered() -> None:
    """A process remembers it for two seconds; the tests before this one had another board."""
    reception._secrets.cache_clear()


@pytest.fixture
def board() -> NotionBoard:
    return NotionBoard.objects.create(active_token=SECRET)


def event(**words: object) -> dict[str, object]:
    return {
        "id": str(uuid.uuid4()),
        "type": "page.properties_updated",
        "entity": {"id": "page-1", "type": "page"},
        "authors": [{"id": "u", "type": "person"}],
    } | words


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    return {"X-Notion-Signature": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


def post(said: object, headers: dict[str, str] | None = None, client: Client | None = None):
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    headers = signed(body) if headers is None else headers
    return (client or Client()).post(URL, body, content_type="application/json", headers=headers)


# ---------------------------------------------------------------- stored


def test_notion_stores_before_it_answers(board, do):
    answer = do(post, event(id="e-1"))
    assert (answer.status_code, answer.json()) == (202, {"result": "stored"})
    found = NotionEvent.objects.get()
    assert (found.event_id, found.page_id, found.author, found.state) == ("e-1", "page-1", "person", "pending")
    assert rings() == [(reception.JOB, ())]
    assert str(found) == "page.properties_updated page-1"


def test_notion_duplicate_is_known(board):
    assert [post(event(id="e-1")).status_code for _ in range(3)] == [202, 200, 200]
    assert NotionEvent.objects.count() == 1


def test_notion_event_costs_few_queries_also_in_a_burst(board, django_assert_max_num_queries):
    for _ in range(20):
        with django_assert_max_num_queries(5):  # the secret, the event, its ring, and a savepoint around both
            assert post(event()).status_code == 202
    assert NotionEvent.objects.count() == 20


def test_notion_reads_the_secret_once_for_a_burst(board, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(reception, "_period", lambda: 1)
    assert post(event()).status_code == 202
    with django_assert_num_queries(4):  # the event, its ring, and a savepoint around both
        assert post(event()).status_code == 202


@pytest.mark.parametrize(
    ("words", "page", "author"),
    [
        ({"entity": {"id": "d", "type": "database"}}, "", "person"),
        ({"entity": None}, "", "person"),
        ({"entity": ["x"]}, "", "person"),
        ({"authors": None}, "page-1", ""),
        ({"authors": []}, "page-1", ""),
        ({"authors": ["x"]}, "page-1", ""),
        ({"entity": {"type": "page", "id": "x" * 99}}, "x" * 36, "person"),
        ({"entity": {"type": "page", "id": "a\x00b\ud800"}}, "ab?", "person"),
        ({"id": "\x00e"}, "page-1", "person"),
    ],
)
def test_notion_takes_events_of_odd_shapes(board, words, page, author):
    assert post(event(**words)).status_code == 202
    found = NotionEvent.objects.get()
    assert (found.page_id, found.author) == (page, author)


# ---------------------------------------------------------------- refused


def test_notion_unsigned_or_wrongly_signed(board):
    body = json.dumps(event()).encode()
    for headers in ({}, signed(body, "another"), {"X-Notion-Signature": "ünsigned"}, signed(body + b" ")):
        assert post(body, headers).status_code == 401
    assert not NotionEvent.objects.exists()


def test_notion_without_an_active_secret_trusts_nobody():
    assert post(event()).status_code == 401


def test_notion_new_secret_counts_at_once_and_the_old_one_for_one_period_at_most(board, monkeypatch):
    """Two web processes: this one trusted the old secret a moment ago, the new one was stored by the other."""
    monkeypatch.setattr(reception, "_period", lambda: 1)
    body = json.dumps(event()).encode()
    assert post(body).status_code == 202
    NotionBoard.objects.update(active_token="the-next-secret")
    monkeypatch.setattr(reception, "_period", lambda: 2)
    assert post(body).status_code == 401
    NotionBoard.objects.update(active_token="the-third-secret")
    another = json.dumps(event()).encode()
    assert post(another, signed(another, "the-third-secret")).status_code == 202
    assert post(body, signed(body, "the-next-secret")).status_code == 401


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"id": ' + b"9" * 5000 + b"}"]
    + [json.dumps(event(**words)).encode() for words in ({"id": ""}, {"id": 5}, {"id": "x" * 65}, {"type": None})]
    + [json.dumps(event(type="x" * 81)).encode()],
)
def test_notion_malformed(board, body):
    answer = post(body)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_notion_over_a_megabyte(board):
    assert post(b" " * 1_048_577).status_code == 413
    assert post(b'"' + b" " * 1_000_000 + b'"').status_code == 400


def test_notion_only_post(board, client):
    assert client.get(URL).status_code == 405


# ---------------------------------------------------------------- handshake


def test_handshake_waits_for_the_operator():
    assert post({"verification_token": SECRET}, {}).json() == {"result": "handshake"}
    board = NotionBoard.objects.get()
    assert (board.pending_token, board.active_token) == (SECRET, None)
    assert post(event()).status_code == 401
    reception.confirm(board, by="ada")
    assert post(event()).status_code == 202
    board.refresh_from_db()
    assert (board.active_token, board.pending_token, board.activated_by) == (SECRET, None, "ada")


def test_handshake_never_replaces_an_active_secret(board):
    assert post({"verification_token": "secret_of-an-attacker"}, {}).status_code == 401
    board.refresh_from_db()
    assert (board.active_token, board.pending_token) == (SECRET, None)


@pytest.mark.parametrize("token", ["short", "x" * 201, None, 5, ["x" * 20]])
def test_handshake_with_nonsense(token):
    assert post({"verification_token": token}, {}).status_code == 400
    assert NotionBoard.objects.get().pending_token is None


def test_forget_lets_the_handshake_of_a_webhook_that_was_made_anew_in(board):
    reception.forget(board, by="ada")
    assert post(event()).status_code == 401, "the former token is good no more"
    assert post({"verification_token": "secret_of-the-new-one"}, {}).status_code == 200
    board.refresh_from_db()
    reception.confirm(board, by="ada")
    assert NotionBoard.objects.get().active_token == "secret_of-the-new-one"


def test_confirm_without_a_handshake(board):
    with pytest.raises(Trouble, match="No handshake has come in yet"):
        reception.confirm(board, by="ada")


# ---------------------------------------------------------------- automations


@pytest.fixture
def hook() -> NotionBoard:
    return NotionBoard.objects.create(hook_secret="typed-in-secret")


PAGE = "303d878a-ef87-4f66-9914-3c625197ebc8"


def automated(**words: object) -> dict[str, object]:
    source = {"type": "automation", "automation_id": "a", "action_id": "b", "event_id": "e-1", "attempt": 1}
    data = {"object": "page", "id": PAGE, "properties": {"Status": {"type": "select", "select": {"name": "Queued"}}}}
    return {"source": source, "data": data} | words


def shown(secret: str = "typed-in-secret") -> dict[str, str]:
    return {reception.HEADER: secret}


def test_notion_stores_what_an_automation_tells(hook, do):
    answer = do(post, automated(), shown())
    assert (answer.status_code, answer.json()) == (202, {"result": "stored"})
    found = NotionEvent.objects.get()
    assert (found.type, found.page_id, found.state) == ("automation", PAGE, "pending")
    assert rings() == [(reception.JOB, ())]


def test_notion_automation_is_known_by_its_call_and_attempt(hook):
    again = {"type": "automation", "event_id": "e-1", "attempt": 2}
    assert [post(automated(), shown()).status_code for _ in range(2)] == [202, 200]
    assert post(automated(source=again), shown()).status_code == 202
    assert [post(automated(source=None), shown()).status_code for _ in range(2)] == [202, 202]
    assert NotionEvent.objects.count() == 4


@pytest.mark.parametrize("headers", [shown("wrong"), shown(""), shown("türkis"), {}])
def test_notion_automation_without_the_secret(hook, headers):
    assert post(automated(), headers).status_code == 401
    assert post(b"{", headers).status_code in (400, 401)
    assert not NotionEvent.objects.exists()


def test_notion_automation_where_there_is_no_secret(board):
    assert post(automated(), shown("")).status_code == 401
    assert post(automated(), shown("None")).status_code == 401


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"[" * 100_000, "not JSON"),
        (b" " * 1_048_577, "over 1 MB"),
        (b'{"data": []}', "data.id is not a page's"),
        (b'{"data": {"id": 5}}', "data.id is not a page's"),
        (b'{"data": {"id": "../users/me"}}', "data.id is not a page's"),
        (b'{"data": {"object": "database", "id": "303d878aef874f6699143c625197ebc8"}}', "data.id is not a page's"),
    ],
)
def test_notion_automation_with_the_secret_is_never_an_error(hook, body, reason):
    answer = post(body, shown())
    assert (answer.status_code, answer.json()) == (200, {"result": "ignored"})
    found = NotionEvent.objects.get()
    assert (found.state, found.outcome) == ("ignored", f"{reason}: nothing to read")


@pytest.mark.parametrize("source", [{"event_id": "x" * 500, "attempt": "y" * 500}, {"event_id": {"a": 1}}, ["x"], "x"])
def test_notion_automation_of_odd_shapes(hook, source):
    data = {"id": PAGE.replace("-", "")}
    assert post(automated(source=source, data=data), shown()).status_code == 202
    assert NotionEvent.objects.get().page_id == PAGE


def test_notion_over_a_megabyte_without_the_secret(hook):
    assert post(b" " * 1_048_577, {}).status_code == 413
    assert post(b" " * 1_048_577, shown("wrong")).status_code == 401


def test_renew_secret_lets_both_in_until_the_new_one_is_adopted(hook):
    reception.renew_secret(hook, by="ada")
    new = NotionBoard.objects.get().hook_next
    assert len(new) > 30
    assert [post(automated(source=None), shown(one)).status_code for one in ("typed-in-secret", new)] == [202, 202]
    reception.adopt_secret(hook, by="ada")
    reception._secrets.cache_clear()
    assert [post(automated(source=None), shown(one)).status_code for one in ("typed-in-secret", new)] == [401, 202]
    with pytest.raises(Trouble, match="no new secret"):
        reception.adopt_secret(hook, by="ada")


def forwarded(posted: list, *, reverse: bool = False) -> list[int]:
    """What the sandbox has posted to a listener, posted to us as it came, the last first if `reverse`."""
    posted, names = list(posted), ("x-notion-signature", reception.HEADER.lower())
    answers = []
    for call in reversed(posted) if reverse else posted:
        headers = {name: call.headers[name] for name in names if name in call.headers}
        answers.append(Client().post(URL, call.body, content_type="application/json", headers=headers).status_code)
    return answers


def test_notion_both_kinds_at_once_doubled_lost_and_reordered_start_each_row_once(hook, vendors):
    """From the sandbox's own webhooks to tasks: what one kind loses the other brings, and our own writes come back."""
    make_channel(name="Sea Stories")
    source = make_board(vendors, "Sea Stories")
    vendors.plan_fault("notion", "duplicate", "webhook", times=2)
    vendors.plan_fault("notion", "drop", "automation")
    with listening() as listener:
        token, _ = vendors.subscribe(f"{listener.url}/signed")
        vendors.verify(token)
        vendors.automate(f"{listener.url}/hook", shown())
        NotionBoard.objects.update(active_token=token)
        facts = {"Channel": "Sea Stories", "Topic": "Bees", "Status": "Queued"}
        pages = [vendors.create_page(source, facts | {"Title": f"Bee {number}"})["id"] for number in range(6)]
        eventually(lambda: len(listener.calls) >= 1 + 8 + 5)
        assert set(forwarded(listener.calls[1:], reverse=True)) == {202, 200}
        jobs.take_in()
        before = len(listener.calls)
        for task in Task.objects.all():
            jobs.tell(task.pk)
        eventually(lambda: len(listener.calls) >= before + 12)
        forwarded(listener.calls[before:])
        jobs.take_in()
    vendors.unsubscribe()
    assert not [kept for kept in vendors.automations() if kept["paused"]]
    vendors.stop_automations()
    assert sorted(Task.objects.values_list("page_id", flat=True)) == sorted(pages)
    assert set(Task.objects.values_list("status", flat=True)) == {Status.QUEUED}
    assert not NotionEvent.objects.filter(state="pending").exists()


def test_notion_an_automation_that_is_refused_is_paused(vendors):
    """Why the secret's answer is always a 2xx."""
    source = make_board(vendors, "Sea Stories")
    with listening(401) as listener:
        vendors.automate(listener.url, shown("old"))
        for _ in range(2):
            vendors.create_page(source, {"Title": "Bees"})
            eventually(lambda: vendors.automations()[0]["paused"])
    assert len(listener.calls) == 1
    vendors.stop_automations()


# ---------------------------------------------------------------- a provider calls back


@pytest.fixture
def lost() -> Take:
    """A render whose submission was never answered."""
    make_take(make_task(Status.GENERATING_VIDEO), "clip", 1, state=Take.State.WAITING)
    (take,) = dispatch.claim("video", 1)
    takes.unknown(take, Trouble(Kind.UNKNOWN, "reply lost"), timezone.now())
    return take


def call_back(token: object, body: bytes):
    return Client().post(f"/callback/{token}", body, content_type="application/json")


@pytest.mark.parametrize("key", ["taskId", "task_id"])
def test_callback_finds_the_take_of_a_lost_reply(lost, key, do):
    answer = do(call_back, lost.token, json.dumps({"data": {key: "job-7"}}).encode())
    assert answer.status_code == 200
    lost.refresh_from_db()
    assert (lost.state, lost.ref) == (Take.State.SUBMITTED, "job-7")
    assert [job for job, _ in rings()] == [dispatch.ASK]


def signed_by_kie(ref: str, at: float, key: str = "the account's key") -> dict[str, str]:
    digest = hmac.digest(key.encode(), f"{ref}.{at:.0f}".encode(), "sha256")
    return {"X-Webhook-Timestamp": f"{at:.0f}", "X-Webhook-Signature": base64.b64encode(digest).decode()}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (lambda now: signed_by_kie("job-7", now), 200),
        (lambda now: signed_by_kie("job-8", now), 401),
        (lambda now: signed_by_kie("job-7", now, key="another"), 401),
        (lambda now: signed_by_kie("job-7", now - 3600), 401),
        (lambda now: signed_by_kie("job-7", now) | {"X-Webhook-Timestamp": "soon"}, 401),
        (lambda now: {}, 401),
    ],
    ids=["signed", "another job's", "wrong key", "old", "no time", "unsigned"],
)
def test_callback_that_should_be_signed_by_kie(lost, settings, headers, status):
    settings.KIE_WEBHOOK_KEY = "the account's key"
    url, body = f"/callback/{lost.token}", b'{"data": {"taskId": "job-7"}}'
    answer = Client().post(url, body, content_type="application/json", headers=headers(time.time()))
    assert answer.status_code == status
    lost.refresh_from_db()
    assert (lost.state == Take.State.SUBMITTED) == (status == 200)


def test_callback_that_the_sandbox_signs_is_heard_and_one_with_another_key_is_not(lost, vendors, process, settings):
    """The whole way: a render whose submission's reply is lost tells its id itself."""
    settings.KIE_WEBHOOK_KEY = WEBHOOK_KEY
    vendors.plan_fault("kie", "lost_reply", "createTask")
    with listening() as listener:
        given = {"prompt": "She turns", "image_url": f"{listener.url}/seed.png", "duration": "5"}
        body = {"model": settings.MODELS["KIE_VIDEO_MODEL"], "input": given, "callBackUrl": f"{listener.url}/callback"}
        heads, url = {"Authorization": f"Bearer {KEY}"}, process.addresses["KIE_BASE_URL"] + "/api/v1/jobs/createTask"
        with pytest.raises(requests.ConnectionError):
            requests.post(url, json=body, headers=heads, timeout=10)
        (posted,) = eventually(lambda: [call for call in listener.calls if call.path == "/callback"])
    names = ("x-webhook-timestamp", "x-webhook-signature")
    headers = {name: posted.headers[name] for name in names}

    def heard():
        answer = Client().post(f"/callback/{lost.token}", posted.body, content_type="application/json", headers=headers)
        lost.refresh_from_db()
        return answer.status_code, lost.state

    settings.KIE_WEBHOOK_KEY = "another"
    assert heard() == (401, Take.State.UNKNOWN)
    settings.KIE_WEBHOOK_KEY = WEBHOOK_KEY
    assert heard() == (200, Take.State.SUBMITTED)
    assert lost.ref == vendors.calls("kie", "createTask")[-1]["ref"]


def test_callback_of_a_stranger_changes_nothing(lost):
    assert call_back(uuid.uuid4(), b'{"data": {"taskId": "job-7"}}').status_code == 200
    lost.refresh_from_db()
    assert lost.state == Take.State.UNKNOWN
    assert call_back("not-a-token", b"{}").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"data": []}',
        b'{"data": {}}',
        b'{"data": {"taskId": 5}}',
        b'{"data": {"taskId": ""}}',
        json.dumps({"data": {"taskId": "x" * 201}}).encode(),
        b"[" * 100000,
        b" " * 1048577,
    ],
)
def test_callback_without_a_job_id(lost, body):
    assert call_back(lost.token, body).status_code == 400


def test_callback_with_an_unstorable_job_id(lost):
    assert call_back(lost.token, rb'{"data": {"taskId": "job\u0000-7"}}').status_code == 200
    lost.refresh_from_db()
    assert lost.ref == "job-7"

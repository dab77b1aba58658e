"""The admin's own pages: lists, forms, secrets, many decisions at once."""

import datetime as dt
import re

import pytest
from django.contrib import admin
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from channels_app.models import Channel, Token
from production import caps, decisions, review
from production.admin import navigation, tasks
from production.models import Alert, Cap, Heartbeat, NotionBoard, NotionEvent, Provider, Tally, Task
from production.stages import Status
from publishing.models import YouTubeAccount
from tests.factories import make_channel, make_operator, make_production, make_staff, make_take, make_task
from tests.house import SECRETS, make_busy_house
from tests.media import picture
from tests.pages import every_page, review_of

pytestmark = pytest.mark.django_db
LIST = "admin:production_task_changelist"


@pytest.fixture
def busy_house() -> Channel:
    return make_busy_house()


# ---------------------------------------------------------------- every page


def test_every_page_opens_and_none_shows_a_secret(operator_client: Client, busy_house: Channel) -> None:
    for url in every_page():
        reply = operator_client.get(url)
        assert reply.status_code == 200, url
        html = reply.content.decode()
        assert not [secret for secret in SECRETS if secret in html], url


def test_every_page_loads_nothing_from_elsewhere(operator_client: Client, busy_house: Channel) -> None:
    for url in every_page():
        html = operator_client.get(url).content.decode()
        for attribute in ('src="http', "src='http", 'href="http', 'src="//', 'href="//'):
            assert attribute not in html, (url, attribute)


def test_pages_that_would_run_any_function_are_gone() -> None:
    registered = {model._meta.label for model in admin.site._registry}
    assert not registered & {"django_q.Schedule", "django_q.OrmQ", "django_q.Success"}


def test_index_shows_what_needs_a_person_first(operator_client: Client, busy_house: Channel) -> None:
    html = operator_client.get(reverse("admin:index")).content.decode()
    assert html.index("The plan was refused") < html.index("The system has it") < html.index("Lanes</h2>")
    assert "0.03" in html


def test_index_for_staff_without_permissions(client: Client) -> None:
    client.force_login(make_staff())
    html = client.get(reverse("admin:index")).content.decode()
    assert "permission to view tasks" in html
    assert "Start reviewing" not in html


# ---------------------------------------------------------------- the list of tasks


def test_list_takes_the_same_number_of_queries_for_any_number_of_tasks(operator_client: Client) -> None:
    channel = make_channel()

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert operator_client.get(reverse(LIST)).status_code == 200
        return len(seen)

    for _ in range(2):
        make_take(make_task(Status.GENERATING_ASSETS, channel=channel), "plan", state="waiting")
    few = queries()
    for _ in range(6):
        make_take(make_task(Status.GENERATING_ASSETS, channel=channel), "plan", state="waiting")
    assert queries() == few


def test_list_shows_progress_and_cost(operator_client: Client) -> None:
    task = make_production(Status.GENERATING_VIDEO, clips=6)
    for number in range(1, 6):
        make_take(task, "clip", number, usd="0.42")
    html = operator_client.get(reverse(LIST)).content.decode()
    assert "clip 5/6" in html
    assert "$2.10" in html


@pytest.mark.parametrize(
    ("who", "statuses"),
    [
        ("you", {Status.ASSETS_READY, Status.VIDEO_ERROR}),
        ("system", {Status.QUEUED, Status.GENERATING_VIDEO, Status.COMPOSITES_READY}),
        ("rest", {Status.DRAFT, Status.PUBLISHED}),
    ],
)
def test_list_filters_by_who_has_it(operator_client: Client, who: str, statuses: set[Status]) -> None:
    channel = make_channel()
    for status in (
        *(Status.DRAFT, Status.QUEUED, Status.ASSETS_READY, Status.COMPOSITES_READY),
        *(Status.GENERATING_VIDEO, Status.VIDEO_ERROR, Status.PUBLISHED),
    ):
        make_task(status, channel=channel)
    found = operator_client.get(reverse(LIST), {"who": who}).context["cl"].result_list
    assert {task.status for task in found} == statuses


def test_next_leads_to_the_most_urgent_task(operator_client: Client) -> None:
    url = reverse("admin:production_task_next")
    assert operator_client.get(url)["Location"] == reverse("admin:index")
    task = make_task(Status.ASSETS_READY)
    assert operator_client.get(url)["Location"] == review_of(task)


# ---------------------------------------------------------------- the words of a task


def test_change_saves_words_and_never_the_status(operator_client: Client) -> None:
    task = make_task(Status.FINAL_REVIEW)
    url = reverse("admin:production_task_change", args=[task.pk])
    words = {"title": "New", "description": "Words", "tags": "sea, ice", "privacy": "public", "priority": "1"}
    operator_client.post(url, words | {"status": "published"})
    task.refresh_from_db()
    assert (task.title, task.tags, task.privacy, task.priority) == ("New", ["sea", "ice"], "public", 1)
    assert task.status == Status.FINAL_REVIEW


def test_tasks_are_neither_added_nor_deleted_by_hand(operator_client: Client) -> None:
    task = make_task()
    assert operator_client.get(reverse("admin:production_task_add")).status_code == 403
    assert operator_client.post(reverse("admin:production_task_delete", args=[task.pk])).status_code == 403


# ---------------------------------------------------------------- many at once


def many(client: Client, action: str, chosen_tasks: list[Task], **words: str) -> str:
    """Choose rows and an action, then confirm; the messages that follow."""
    chosen = {"action": action, "_selected_action": [task.pk for task in chosen_tasks]}
    page = client.post(reverse(LIST), chosen)
    assert page.status_code == 200
    seen = {f"seen-{row.task.pk}": row.seen for row in page.context["rows"]}
    reply = client.post(reverse(LIST), chosen | seen | {"confirmed": "1"} | words, follow=True)
    return " ".join(str(message) for message in reply.context["messages"])


def test_approve_many_says_what_became_of_each(operator_client: Client) -> None:
    ready, moving = make_production(Status.ASSETS_READY, title="Ice"), make_task(Status.GENERATING_VIDEO, title="Fire")
    said = many(operator_client, "approve_selected", [ready, moving])
    assert "“Ice”: Assets approved" in said
    assert "“Fire”: Nothing waits for a yes" in said
    ready.refresh_from_db()
    assert ready.status == Status.ASSETS_APPROVED


def test_approve_many_names_the_price_before(operator_client: Client) -> None:
    task = make_production(Status.ASSETS_READY, clips=2)
    reply = operator_client.post(reverse(LIST), {"action": "approve_selected", "_selected_action": [task.pk]})
    assert "Composites and Video follow for at most $0.84" in reply.content.decode()
    task.refresh_from_db()
    assert task.status == Status.ASSETS_READY


def test_reject_many_gives_each_the_reason(operator_client: Client) -> None:
    both = [make_production(Status.ASSETS_READY), make_production(Status.VIDEO_READY)]
    many(operator_client, "reject_selected", both, reason="Wrong brand")
    assert [task.changes.last().reason for task in both] == ["Wrong brand", "Wrong brand"]


def test_approve_many_tells_also_of_one_that_has_left_the_filter(operator_client: Client) -> None:
    task = make_production(Status.ASSETS_READY, title="Ice")
    chosen = {"action": "approve_selected", "_selected_action": [task.pk]}
    page = operator_client.post(f"{reverse(LIST)}?who=you", chosen)
    (row,) = page.context["rows"]
    decisions.approve(task, by="anna")
    (action,) = re.findall(r'class="decide-many" action="([^"]+)"', page.content.decode())
    reply = operator_client.post(action, chosen | {f"seen-{task.pk}": row.seen, "confirmed": "1"}, follow=True)
    assert "“Ice”: anna has approved this already." in [str(message) for message in reply.context["messages"]]


def test_many_are_a_hundred_at_most(operator_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a list may be chosen by one click, and each is read before it is asked about."""
    monkeypatch.setattr(tasks, "MOST_AT_ONCE", 2)
    chosen = {"action": "approve_selected", "_selected_action": [make_task().pk for _ in range(3)]}
    reply = operator_client.post(reverse(LIST), chosen, follow=True)
    assert "Choose 2 at most" in reply.content.decode()


def test_retry_many(operator_client: Client) -> None:
    task = make_task(Status.ASSET_ERROR)
    assert "again" in many(operator_client, "retry_selected", [task])
    task.refresh_from_db()
    assert task.status == Status.QUEUED


def test_many_is_refused_to_who_may_only_look(looker_client: Client) -> None:
    task = make_production(Status.ASSETS_READY)
    chosen = {"action": "approve_selected", "_selected_action": [task.pk], "confirmed": "1"}
    looker_client.post(reverse(LIST), chosen | {f"seen-{task.pk}": review.seen(task)})
    task.refresh_from_db()
    assert task.status == Status.ASSETS_READY


# ---------------------------------------------------------------- secrets


def channel_form(client: Client, channel: Channel, **words: object) -> None:
    url = reverse("admin:channels_channel_change", args=[channel.pk])
    form = client.get(url).context["adminform"].form
    files = {"intro", "outro", "watermark"}
    said = {name: "" if value is None else value for name, value in form.initial.items() if name not in files}
    said |= {"tags": "", "active": "on", "gates": channel.gates, "_save": "1"}
    inline = {"tokens-TOTAL_FORMS": "0", "tokens-INITIAL_FORMS": "0"}
    reply = client.post(url, said | inline | words)
    assert reply.status_code == 302, reply.context["adminform"].form.errors


def test_channel_form_takes_a_watermark_and_shows_it_to_people_only(operator_client: Client) -> None:
    channel = make_channel()
    channel_form(operator_client, channel, watermark=SimpleUploadedFile("mark.png", picture()))
    channel.refresh_from_db()
    url = channel.watermark.url
    assert url in operator_client.get(reverse("admin:channels_channel_change", args=[channel.pk])).content.decode()
    shown = operator_client.get(url)
    assert (shown.status_code, b"".join(shown)) == (200, picture())
    assert operator_client.get(url.replace("mark", "other")).status_code == 404
    assert Client().get(url).status_code == 302


def token_row(token: Token, **words: str) -> dict[str, str]:
    row = {"id": str(token.pk), "channel": str(token.channel_id), "name": token.name, "value": ""} | words
    return {"tokens-TOTAL_FORMS": "1", "tokens-INITIAL_FORMS": "1"} | {f"tokens-0-{k}": v for k, v in row.items()}


def test_channel_form_keeps_a_token_when_its_field_is_left_empty(operator_client: Client) -> None:
    token = Token.objects.create(channel=make_channel(), name="KIE_API_KEY", value="first")
    channel_form(operator_client, token.channel, **token_row(token, name="GEMINI_API_KEY"))
    token.refresh_from_db()
    assert (token.name, token.value) == ("GEMINI_API_KEY", "first")


def test_channel_form_says_when_a_token_was_set(operator_client: Client) -> None:
    token = Token.objects.create(channel=make_channel(), name="KIE_API_KEY", value="first")
    html = operator_client.get(reverse("admin:channels_channel_change", args=[token.channel_id])).content.decode()
    assert f'set <time class="ago" datetime="{token.updated.isoformat()}"' in html


def test_channel_form_replaces_a_token(operator_client: Client) -> None:
    token = Token.objects.create(channel=make_channel(), name="KIE_API_KEY", value="first")
    channel_form(operator_client, token.channel, **token_row(token, value="second"))
    token.refresh_from_db()
    assert token.value == "second"


def test_channel_form_sets_gates_by_checkbox(operator_client: Client) -> None:
    channel = make_channel()
    channel_form(operator_client, channel, gates=["composites", "sfx"])
    channel.refresh_from_db()
    assert channel.gates == ["composites", "sfx"]


def test_youtube_account_keeps_its_token_when_left_empty(operator_client: Client) -> None:
    account = YouTubeAccount.objects.create(channel=make_channel(), refresh_token="first", access_token="second")
    url = reverse("admin:publishing_youtubeaccount_change", args=[account.pk])
    operator_client.post(url, {"channel": account.channel_id, "youtube_channel_id": "UC1", "refresh_token": ""})
    account.refresh_from_db()
    assert (account.youtube_channel_id, account.refresh_token, account.access_token) == ("UC1", "first", "second")


def test_new_consent_forgets_the_access_of_the_former(operator_client: Client) -> None:
    account = YouTubeAccount.objects.create(
        channel=make_channel(), refresh_token="first", access_token="old", expires=timezone.now(), trouble="revoked"
    )
    url = reverse("admin:publishing_youtubeaccount_change", args=[account.pk])
    operator_client.post(url, {"channel": account.channel_id, "youtube_channel_id": "", "refresh_token": "second"})
    account.refresh_from_db()
    assert (account.refresh_token, account.access_token, account.expires, account.trouble) == ("second", "", None, "")


# ---------------------------------------------------------------- Notion


def test_board_shows_the_pending_token_to_superusers_only(client: Client) -> None:
    board = NotionBoard.objects.create(pending_token="pending-of-notion", active_token="active-of-notion")
    url = reverse("admin:production_notionboard_change", args=[board.pk])
    client.force_login(make_staff("view_notionboard", "change_notionboard"))
    assert "pending-of-notion" not in client.get(url).content.decode()
    client.force_login(make_operator())
    html = client.get(url).content.decode()
    assert "pending-of-notion" in html
    assert "active-of-notion" not in html


def test_board_offers_to_confirm_only_what_is_pending(operator_client: Client) -> None:
    board = NotionBoard.objects.create(active_token="active-of-notion")
    url = reverse("admin:production_notionboard_change", args=[board.pk])
    assert "I have pasted it in Notion" not in operator_client.get(url).content.decode()
    NotionBoard.objects.update(pending_token="pending-of-notion")
    assert "I have pasted it in Notion" in operator_client.get(url).content.decode()


def test_board_shows_a_new_secret_to_who_sets_it_up_until_it_is_typed_in(operator_client: Client) -> None:
    board = NotionBoard.objects.create(hook_secret="secret-of-automations")
    url = reverse("admin:production_notionboard_change", args=[board.pk])
    operator_client.post(
        reverse("admin:production_notionboard_renew_secret", args=[board.pk]), {"_form_submitted": "on"}
    )
    made = NotionBoard.objects.get().hook_next
    html = operator_client.get(url).content.decode()
    assert made in html
    assert "X-Webhook-Secret" in html
    assert "/webhook/notion" in html
    assert "secret-of-automations" not in html
    staff = Client()
    staff.force_login(make_staff("view_notionboard", "change_notionboard"))
    assert made not in staff.get(url).content.decode()
    assert staff.post(reverse("admin:production_notionboard_renew_secret", args=[board.pk])).status_code == 403
    operator_client.post(
        reverse("admin:production_notionboard_confirm_typed", args=[board.pk]), {"_form_submitted": "on"}
    )
    assert made not in operator_client.get(url).content.decode()
    assert (NotionBoard.objects.get().hook_secret, NotionBoard.objects.get().hook_next) == (made, None)


def test_event_names_its_task_and_no_page_id(operator_client: Client) -> None:
    task = make_task(title="Ice")
    NotionEvent.objects.create(event_id="1", type="page.created", page_id=task.page_id)
    html = operator_client.get(reverse("admin:production_notionevent_changelist")).content.decode()
    assert review_of(task) in html
    assert task.page_id not in html


@pytest.mark.parametrize(("kind", "player"), [("image", "img"), ("clip", "video"), ("narration", "audio")])
def test_take_is_looked_at_in_its_list_and_on_its_page(operator_client: Client, kind: str, player: str) -> None:
    take = make_take(make_task(Status.AUDIO_READY), kind, 1, measured={"poster": True})
    shown = operator_client.get(reverse("admin:production_take_changelist")).content.decode()
    assert f'<img class="poster" src="/media/take/{take.pk}/poster"' in shown
    page = operator_client.get(reverse("admin:production_take_change", args=[take.pk])).content.decode()
    assert re.search(rf'<{player} [^>]*src="/media/take/{take.pk}"', page)


def test_caps_count_what_is_simulated_apart(operator_client: Client) -> None:
    channel = make_channel()
    Cap.objects.create(meter="channel_day", channel=channel, usd="0.20")
    now = caps.current("channel_day", str(channel.pk), timezone.now())
    for simulated, usd in ((False, "0.05"), (True, "0.17")):
        Tally.objects.create(meter=now.meter, key=now.key, since=now.since, simulated=simulated, usd=usd)
    html = operator_client.get(reverse("admin:production_cap_changelist")).content.decode()
    assert "$0.05 of $0.20; $0.17 simulated" in html
    assert '<progress value="5" max="20">' in html


def test_caps_take_the_same_number_of_queries_for_any_number(operator_client: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as met:
            operator_client.get(reverse("admin:production_cap_changelist"))
        return len(met)

    Cap.objects.create(meter="channel_month", channel=make_channel(), usd=1)
    few = queries()
    for _ in range(5):
        Cap.objects.create(meter="channel_day", channel=make_channel(), usd=1)
    Cap.objects.create(meter="lane_day", lane_id="images", usd=1)
    assert queries() <= few + 2  # the form's two lists of channels and lanes are read once, however many caps


def test_sidebar_counts_open_alerts(operator_client: Client) -> None:
    Alert.objects.create(cause="a", message="It stopped")
    Alert.objects.create(cause="b", message="It went on", closed=timezone.now())
    groups = navigation.groups(operator_client.get(reverse("admin:index")).wsgi_request)
    item = next(item for group in groups for item in group["items"] if item["title"] == "Alerts")
    assert item["badge"] == "1"


def test_board_is_confirmed_by_post_only(operator_client: Client) -> None:
    board = NotionBoard.objects.create(pending_token="pending-of-notion")
    url = reverse("admin:production_notionboard_confirm_pasted", args=[board.pk])
    operator_client.get(url)
    board.refresh_from_db()
    assert board.active_token is None
    operator_client.post(url, {"_form_submitted": "on"})
    board.refresh_from_db()
    assert (board.active_token, board.pending_token, board.activated_by) == ("pending-of-notion", None, "olga")


def test_board_forgets_its_token_by_post_only_and_for_who_sets_it_up(operator_client: Client) -> None:
    board = NotionBoard.objects.create(active_token="token-of-a-lost-webhook")
    url = reverse("admin:production_notionboard_forget_token", args=[board.pk])
    staff = Client()
    staff.force_login(make_staff("view_notionboard", "change_notionboard"))
    assert staff.post(url, {"_form_submitted": "on"}).status_code == 403
    operator_client.get(url)
    assert NotionBoard.objects.get().active_token
    operator_client.post(url, {"_form_submitted": "on"})
    assert NotionBoard.objects.get().active_token is None
    assert operator_client.get(url.replace(f"/{board.pk}/", "/nonsense/")).status_code == 404


# ---------------------------------------------------------------- lanes


def test_lane_is_paused_in_the_list(operator_client: Client) -> None:
    url = reverse("admin:production_provider_changelist")
    forms = operator_client.get(url).context["cl"].formset.forms
    rows = {"form-TOTAL_FORMS": len(forms), "form-INITIAL_FORMS": len(forms), "_save": "1"}
    for number, form in enumerate(forms):
        rows |= {f"form-{number}-name": form.instance.pk, f"form-{number}-concurrency": form.instance.concurrency or ""}
        if form.instance.pk == "video":
            rows |= {f"form-{number}-paused": "on", f"form-{number}-pause_reason": "Quota"}
    operator_client.post(url, rows)
    assert list(Provider.objects.filter(paused=True).values_list("name", "pause_reason")) == [("video", "Quota")]


# ---------------------------------------------------------------- workers


def test_workers_say_since_when_they_are_silent(operator_client: Client) -> None:
    silent = Heartbeat.objects.create(name="host:1", cluster="cpu", beat=timezone.now() - dt.timedelta(minutes=20))
    Heartbeat.objects.create(name="host:2", cluster="cpu")
    html = operator_client.get(reverse("admin:production_heartbeat_changelist")).content.decode()
    assert html.count(">Alive<") == html.count(">Silent<") == 1
    assert f'since <time class="clock" datetime="{silent.beat.isoformat()}"' in html


def test_failed_jobs_and_slots_have_names_that_people_understand(operator_client: Client) -> None:
    html = operator_client.get(reverse("admin:production_failedjob_changelist")).content.decode()
    assert "Failed jobs" in html
    assert "Django Q" not in html
    assert "Videos at once" in operator_client.get(reverse("admin:channels_channel_add")).content.decode()

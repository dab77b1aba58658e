import hashlib
import hmac

import notion_client
import pytest
from notion_client.errors import APIResponseError

from tests.sandboxes import KEY
from tests.vendor import listening
from tests.waiting import eventually


@pytest.fixture
def notion(addresses):
    client = notion_client.Client(auth=KEY, base_url=addresses["NOTION_BASE_URL"], retry=False)
    yield client
    client.close()


@pytest.fixture
def hooked(control):
    """A listener whose subscription is active, and the token of the signature."""
    with listening() as listener:
        token, status = control.subscribe(f"{listener.url}/webhook/notion")
        assert status == 200
        assert listener.calls.pop().json() == {"verification_token": token}
        control.verify(token)
        yield listener, token
        control.unsubscribe()


def text(words):
    return [{"text": {"content": words}}]


def row(board, title="Bees", **more):
    properties = {"Title": {"title": text(title)}, "Status": {"select": {"name": "Draft"}}, **more}
    return {"parent": {"type": "data_source_id", "data_source_id": board}, "properties": properties}


def test_pages_create_retrieve_and_update(notion, board):
    page = notion.pages.create(**row(board, Topic={"rich_text": text("The life of bees")}))
    changes = {"Status": {"select": {"name": "Queued"}}, "Cost": {"number": 1.5}, "YouTube URL": {"url": "http://x/y"}}
    notion.pages.update(page["id"], properties=changes)
    read = notion.pages.retrieve(page["id"])["properties"]
    assert read["Title"]["title"][0]["plain_text"] == "Bees"
    assert read["Topic"]["rich_text"][0]["text"]["content"] == "The life of bees"
    assert read["Status"]["select"]["name"] == "Queued"
    assert (read["Cost"]["number"], read["YouTube URL"]["url"], read["Publish At"]["date"]) == (1.5, "http://x/y", None)
    assert read["Updated"]["last_edited_time"].endswith(":00.000Z"), "Notion cuts to the minute"


def test_databases_create_leads_to_its_data_source(notion):
    properties = {"Title": {"title": {}}, "Status": {"select": {"options": [{"name": "Draft"}, {"name": "Queued"}]}}}
    made = notion.databases.create(
        parent={"type": "page_id", "page_id": "30000000-0000-4000-8000-000000000009"},
        title=text("Videos"),
        initial_data_source={"properties": properties},
    )
    source = notion.databases.retrieve(made["id"])["data_sources"][0]
    assert source["name"] == "Videos"
    found = notion.data_sources.retrieve(source["id"])["properties"]
    assert [option["name"] for option in found["Status"]["select"]["options"]] == ["Draft", "Queued"]
    notion.data_sources.update(source["id"], properties={"Topic": {"rich_text": {}}})
    assert notion.data_sources.retrieve(source["id"])["properties"]["Topic"]["type"] == "rich_text"
    with pytest.raises(APIResponseError, match="not currently supported"):
        notion.data_sources.update(source["id"], properties={"State": {"status": {}}})


def test_data_sources_query_filters_sorts_and_pages(notion, board):
    for title, status in (("a", "Queued"), ("b", "Draft"), ("c", "Queued"), ("d", "Queued")):
        notion.pages.create(**row(board, title, Status={"select": {"name": status}}))
    wanted = {
        "filter": {
            "and": [
                {"property": "Status", "select": {"equals": "Queued"}},
                {"timestamp": "last_edited_time", "last_edited_time": {"on_or_after": "2020-01-01T00:00:00Z"}},
            ]
        },
        "sorts": [{"property": "Title", "direction": "descending"}],
        "page_size": 2,
    }
    first = notion.data_sources.query(board, **wanted)
    second = notion.data_sources.query(board, **wanted, start_cursor=first["next_cursor"])
    titles = [page["properties"]["Title"]["title"][0]["plain_text"] for page in first["results"] + second["results"]]
    assert titles == ["d", "c", "a"]
    assert (first["has_more"], second["has_more"]) == (True, False)
    late = {"timestamp": "last_edited_time", "last_edited_time": {"after": "2999-01-01"}}
    assert notion.data_sources.query(board, filter=late)["results"] == []


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"Nope": {"number": 1}}, "Nope is not a property that exists"),
        ({"Topic": {"rich_text": text("x" * 2001)}}, "should be ≤ `2000`, instead was `2001`"),
        ({"Topic": {"rich_text": text("x") * 101}}, "should be ≤ `100`"),
        ({"YouTube URL": {"url": ""}}, "url should be a string"),
        ({"Cost": {"number": "three"}}, "should be a number"),
        ({"Updated": {"last_edited_time": "2026-01-01"}}, "can't be written"),
        ({"Publish At": {"date": {"start": "soon"}}}, "ISO 8601"),
    ],
)
def test_pages_update_validation_errors(notion, board, properties, message):
    page = notion.pages.create(**row(board))
    with pytest.raises(APIResponseError, match=message) as caught:
        notion.pages.update(page["id"], properties=properties)
    assert (caught.value.status, caught.value.code) == (400, "validation_error")


def test_pages_retrieve_unknown_page_and_wrong_key(notion):
    with pytest.raises(APIResponseError) as caught:
        notion.pages.retrieve("11111111-1111-4111-8111-111111111111")
    assert (caught.value.status, caught.value.code) == (404, "object_not_found")
    with pytest.raises(APIResponseError) as caught:
        notion.users.me(auth="secret_real")
    assert (caught.value.status, caught.value.code) == (401, "unauthorized")


def test_users_me_and_comments(notion, board):
    assert notion.users.me()["type"] == "bot"
    page = notion.pages.create(**row(board))
    notion.comments.create(parent={"page_id": page["id"]}, rich_text=text("Looks good"))
    listed = notion.comments.list(block_id=page["id"])["results"]
    assert [each["rich_text"][0]["plain_text"] for each in listed] == ["Looks good"]


def test_planned_rate_limit_tells_when_to_retry(notion, control):
    control.plan_fault("notion", "quota", "users.me", seconds=7)
    with pytest.raises(APIResponseError) as caught:
        notion.users.me()
    assert (caught.value.status, caught.value.headers["Retry-After"]) == (429, "7")
    assert notion.users.me()


def test_webhook_person_edit_is_signed_and_names_its_author(control, board, hooked):
    listener, token = hooked
    page = control.create_page(board, {"Title": "Bees", "Status": "Draft"})
    eventually(lambda: len(listener.calls) == 1)
    control.edit_page(page["id"], {"Status": "Queued"})
    eventually(lambda: len(listener.calls) == 2)
    call = listener.calls[1]
    mine = hmac.new(token.encode(), call.body, hashlib.sha256).hexdigest()
    event = call.json()
    assert call.path == "/webhook/notion"
    assert call.headers["x-notion-signature"] == f"sha256={mine}"
    assert (event["type"], event["entity"]["id"]) == ("page.properties_updated", page["id"])
    assert event["authors"][0]["type"] == "person"
    assert event["data"]["parent"]["data_source_id"] == board
    assert len(event["data"]["updated_properties"]) == 1
    assert control.page(page["id"])["properties"]["Status"] == "Queued"


def test_webhook_own_write_is_by_a_bot_and_no_change_is_no_event(notion, control, board, hooked):
    listener, _ = hooked
    page = notion.pages.create(**row(board))
    notion.pages.update(page["id"], properties={"Status": {"select": {"name": "Draft"}}})
    notion.pages.update(page["id"], properties={"Status": {"select": {"name": "Queued"}}})
    eventually(lambda: len(listener.calls) == 2)
    types = {event["type"]: event["authors"][0]["type"] for event in (call.json() for call in listener.calls)}
    assert types == {"page.created": "bot", "page.properties_updated": "bot"}


def test_webhook_is_tried_again_until_it_is_taken(control, board, hooked):
    listener, _ = hooked
    listener.answer_with(500, 503, 200)
    control.create_page(board, {"Title": "Bees"})
    eventually(lambda: len(listener.calls) == 3)
    attempts = [call.json() for call in listener.calls]
    assert [each["attempt_number"] for each in attempts] == [1, 2, 3]
    assert len({each["id"] for each in attempts}) == 1


def test_webhook_dropped_on_demand(control, board, hooked):
    listener, _ = hooked
    control.plan_fault("notion", "drop", "webhook")
    lost = control.create_page(board, {"Title": "Never heard of"})
    (dropped,) = eventually(lambda: [c for c in control.calls("notion", "webhook") if lost["id"] in c["text"]])
    assert (dropped["status"], dropped["accepted"]) == (0, False)
    heard = control.create_page(board, {"Title": "Bees"})
    eventually(lambda: listener.calls)
    assert [call.json()["entity"]["id"] for call in listener.calls] == [heard["id"]]


def test_webhook_twice_on_demand(control, board, hooked):
    listener, _ = hooked
    control.plan_fault("notion", "duplicate", "webhook")
    control.create_page(board, {"Title": "Bees"})
    eventually(lambda: len(listener.calls) == 2)
    assert listener.calls[0].body == listener.calls[1].body

"""notion-client, as it ships, against the sandbox: what tests/sandbox/test_notion.py leaves out."""

import io
import os

import notion_client
import pytest
import requests
from notion_client import APIResponseError
from notion_client.client import RetryOptions
from notion_client.errors import RequestTimeoutError, UnknownHTTPResponseError
from notion_client.helpers import collect_paginated_api, iterate_paginated_api

from tests.sandboxes import KEY
from tests.waiting import eventually

MEGABYTE = 1024 * 1024
NOW = RetryOptions(max_retries=2, initial_retry_delay_ms=1, max_retry_delay_ms=1500)


@pytest.fixture
def connect(addresses):
    opened = []

    def make(**options):
        opened.append(notion_client.Client(auth=KEY, base_url=addresses["NOTION_BASE_URL"], **options))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def notion(connect):
    return connect(retry=False)


def row(board, title="Bees", **more):
    properties = {"Title": {"title": [{"text": {"content": title}}]}, **more}
    return {"parent": {"type": "data_source_id", "data_source_id": board}, "properties": properties}


def test_iterate_paginated_api_meets_each_row_once(notion, board, control):
    for number in range(7):
        notion.pages.create(**row(board, f"Row {number}"))
    before = len(control.calls("notion", "data_sources.query"))
    found = iterate_paginated_api(notion.data_sources.query, data_source_id=board, page_size=3)
    titles = [page["properties"]["Title"]["title"][0]["plain_text"] for page in found]
    assert titles == [f"Row {number}" for number in range(7)]
    assert len(control.calls("notion", "data_sources.query")) == before + 3


def test_collect_paginated_api_of_comments_and_users(notion, board):
    page = notion.pages.create(**row(board))
    for number in range(3):
        notion.comments.create(parent={"page_id": page["id"]}, rich_text=[{"text": {"content": f"No {number}"}}])
    comments = collect_paginated_api(notion.comments.list, block_id=page["id"], page_size=2)
    assert [each["rich_text"][0]["plain_text"] for each in comments] == ["No 0", "No 1", "No 2"]
    assert [each["type"] for each in collect_paginated_api(notion.users.list, page_size=1)] == ["person", "bot"]
    with pytest.raises(APIResponseError, match="page_size should be ≤ `100`"):
        notion.users.list(page_size=101)


def test_file_upload_in_one_part_is_attached_and_comes_back(notion, board):
    notion.data_sources.update(board, properties={"Assets": {"files": {}}})
    picture = os.urandom(30_000)
    begun = notion.file_uploads.create(filename="keeper.png", content_type="image/png")
    assert (begun["status"], begun["upload_url"].endswith(f"{begun['id']}/send")) == ("pending", True)
    attached = {"Assets": {"files": [{"type": "file_upload", "file_upload": {"id": begun["id"]}, "name": "Keeper"}]}}
    with pytest.raises(APIResponseError, match="is pending and can't be attached"):
        notion.pages.create(**row(board, **attached))
    sent = notion.file_uploads.send(begun["id"], file=("keeper.png", io.BytesIO(picture), "image/png"))
    assert (sent["status"], sent["content_length"]) == ("uploaded", 30_000)
    page = notion.pages.create(**row(board, **attached))
    (file,) = notion.pages.retrieve(page["id"])["properties"]["Assets"]["files"]
    assert (file["name"], file["type"]) == ("Keeper", "file")
    assert file["file"]["expiry_time"].endswith("Z")
    assert requests.get(file["file"]["url"], timeout=5).content == picture
    assert requests.get(file["file"]["url"].partition("?")[0], timeout=5).status_code == 403, "only while it is signed"
    assert notion.file_uploads.retrieve(begun["id"])["expiry_time"] is None, "what is attached stays"


def test_file_upload_in_parts(notion):
    film = os.urandom(5 * MEGABYTE + 100)
    begun = notion.file_uploads.create(
        mode="multi_part", filename="film.mp4", content_type="video/mp4", number_of_parts=2
    )
    with pytest.raises(APIResponseError, match="5242880 to 20971520 are allowed"):
        notion.file_uploads.send(begun["id"], file=io.BytesIO(b"small"), part_number="1")
    notion.file_uploads.send(begun["id"], file=io.BytesIO(film[: 5 * MEGABYTE]), part_number="1")
    with pytest.raises(APIResponseError, match="Parts 2 have not been sent"):
        notion.file_uploads.complete(begun["id"])
    notion.file_uploads.send(begun["id"], file=io.BytesIO(film[5 * MEGABYTE :]), part_number="2")
    done = notion.file_uploads.complete(begun["id"])
    assert (done["status"], done["content_length"]) == ("uploaded", len(film))
    uploaded = collect_paginated_api(notion.file_uploads.list, status="uploaded", page_size=1)
    assert begun["id"] in [each["id"] for each in uploaded]


def test_file_upload_in_a_free_workspace(notion, control):
    def limit():
        return notion.users.me()["bot"]["workspace_limits"]["max_file_upload_size_in_bytes"]

    assert limit() > 20 * MEGABYTE
    control.set_notion_plan(paid=False)
    try:
        assert limit() == 5 * MEGABYTE
        with pytest.raises(APIResponseError, match="not available for this workspace's plan"):
            notion.file_uploads.create(mode="multi_part", filename="f.mp4", content_type="video/mp4", number_of_parts=2)
        begun = notion.file_uploads.create(filename="f.mp4", content_type="video/mp4")
        with pytest.raises(APIResponseError, match="0 to 5242880 are allowed"):
            notion.file_uploads.send(begun["id"], file=io.BytesIO(b"x" * (5 * MEGABYTE + 1)))
    finally:
        control.set_notion_plan(paid=True)


def test_columns_are_renamed_by_id_and_keep_their_values(notion, board):
    page = notion.pages.create(**row(board, Topic={"rich_text": [{"text": {"content": "Swarms"}}]}))
    key = notion.data_sources.retrieve(board)["properties"]["Topic"]["id"]
    columns = notion.data_sources.update(board, properties={key: {"name": "Subject"}})["properties"]
    assert (columns["Subject"]["id"], "Topic" in columns) == (key, False)
    found = notion.pages.retrieve(page["id"])["properties"]["Subject"]
    assert found["rich_text"][0]["plain_text"] == "Swarms"
    with pytest.raises(APIResponseError, match="A property named Title exists already"):
        notion.data_sources.update(board, properties={key: {"name": "Title"}})


def test_options_are_a_whole_list_and_keep_their_colours(notion, board):
    there = notion.data_sources.retrieve(board)["properties"]["Priority"]["select"]["options"]
    kept, other = there[0], next(colour for colour in ("red", "blue") if colour != there[0]["color"])
    with pytest.raises(APIResponseError, match="Cannot update color of select"):
        notion.data_sources.update(
            board, properties={"Priority": {"select": {"options": [{"name": kept["name"], "color": other}]}}}
        )
    wanted = {"select": {"options": [{"id": kept["id"]}, {"name": "Now", "color": "red"}]}}
    changed = notion.data_sources.update(board, properties={"Priority": wanted})["properties"]["Priority"]["select"]
    assert changed["options"][0] == kept
    assert [(each["name"], each["color"]) for each in changed["options"][1:]] == [("Now", "red")]


def test_page_in_the_trash_takes_no_edit_until_it_is_restored(notion, board):
    page = notion.pages.create(**row(board))["id"]
    notion.pages.update(page, in_trash=True)
    title = {"Title": {"title": [{"text": {"content": "Ants"}}]}}
    with pytest.raises(APIResponseError, match="unarchive the block"):
        notion.pages.update(page, properties=title)
    notion.pages.update(page, in_trash=False)
    assert notion.pages.update(page, properties=title)["in_trash"] is False


def test_file_upload_unknown(notion):
    with pytest.raises(APIResponseError) as caught:
        notion.file_uploads.retrieve("11111111-1111-4111-8111-111111111111")
    assert (caught.value.status, caught.value.code) == (404, "object_not_found")


def test_client_waits_as_retry_after_asks_and_asks_again(connect, control):
    control.plan_fault("notion", "quota", "users.me", seconds=1)
    before = len(control.calls("notion", "users.me"))
    assert connect(retry=NOW).users.me()["type"] == "bot"
    first, second = control.calls("notion", "users.me")[before:]
    assert (first["status"], second["status"]) == (429, 200)
    assert second["at"] - first["at"] >= 1


@pytest.mark.parametrize(("status", "times", "ends"), [(503, 2, "well"), (500, 3, "badly")])
def test_client_repeats_a_question_but_no_write(connect, control, board, status, times, ends):
    code = {503: "service_unavailable", 500: "internal_server_error"}[status]
    body = {"object": "error", "status": status, "code": code, "message": "Try again"}
    control.plan_fault("notion", "status", "users.me", status=status, body=body, times=times)
    client = connect(retry=NOW)
    if ends == "well":
        assert client.users.me()
    else:
        with pytest.raises(APIResponseError) as caught:
            client.users.me()
        assert (caught.value.status, caught.value.code) == (status, code)
    control.plan_fault("notion", "status", "pages.create", status=status, body=body)
    with pytest.raises(APIResponseError):
        client.pages.create(**row(board))


def test_write_that_is_kept_although_the_answer_is_503(notion, control, board):
    body = {"object": "error", "status": 503, "code": "service_unavailable", "message": "Try again"}
    body["additional_data"] = {"committed_resource_id": "$ref", "retry_guidance": "re-read"}
    control.plan_fault("notion", "status_after", "pages.create", status=503, body=body)
    with pytest.raises(APIResponseError) as caught:
        notion.pages.create(**row(board, "Kept all the same"))
    committed = caught.value.additional_data["committed_resource_id"]
    title = notion.pages.retrieve(committed)["properties"]["Title"]["title"][0]["plain_text"]
    assert title == "Kept all the same"


def test_overload_is_unknown_to_the_client(connect, control):
    body = {"object": "error", "status": 529, "code": "service_overload", "message": "Overloaded"}
    control.plan_fault("notion", "status", "users.me", status=529, body=body)
    with pytest.raises(UnknownHTTPResponseError) as caught:
        connect(retry=NOW).users.me()
    assert caught.value.status == 529


def test_timeout_is_typed(connect, control):
    before = len(control.calls("notion", "users.me"))
    control.plan_fault("notion", "delay", "users.me", seconds=1)
    with pytest.raises(RequestTimeoutError):
        connect(retry=False, timeout_ms=200).users.me()
    eventually(lambda: len(control.calls("notion", "users.me")) > before)  # else another test counts it


def test_address_that_is_none_is_an_invalid_request_url(notion):
    with pytest.raises(APIResponseError) as caught:
        notion.request(path="nothing/here", method="GET")
    assert (caught.value.status, caught.value.code) == (400, "invalid_request_url")


def test_limits_take_180_requests_a_minute(notion, control):
    control.set_limits(on=True)
    for _ in range(180):
        notion.users.me()
    with pytest.raises(APIResponseError) as caught:
        notion.users.me()
    assert caught.value.code == "rate_limited"
    assert 0 < int(caught.value.headers["Retry-After"]) <= 60

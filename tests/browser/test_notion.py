"""The board's page and the differences in Chromium: dialogs that make and confirm a secret, a side chosen for many."""

import pytest
from playwright.sync_api import Page, expect

from production import drift
from production.models import NotionBoard, NotionDrift
from production.stages import Status
from tests.factories import make_channel, make_task
from tests.rings import rings

BOARD = "/admin/production/notionboard/{}/change/"
LIST = "/admin/production/notiondrift/"


@pytest.fixture
def board(transactional_db: None) -> NotionBoard:
    return NotionBoard.objects.create(data_source_id="source", hook_secret="the-old-one")


def press(page: Page, button: str, answer: str) -> None:
    """A button that asks first, and the answer that does it."""
    page.locator("a, button").filter(has_text=button).click()
    page.get_by_role("button", name=answer).click()


def test_board_makes_a_secret_and_shows_it_until_it_is_typed_in(page: Page, board: NotionBoard) -> None:
    page.goto(BOARD.format(board.pk))
    expect(page.get_by_text("I have typed it into Notion")).to_have_count(0)
    press(page, "New secret", "Make it")
    expect(page.get_by_text("X-Webhook-Secret")).to_be_visible()
    made = NotionBoard.objects.get().hook_next
    expect(page.get_by_text(made)).to_be_visible()
    press(page, "I have typed it into Notion", "Yes, everywhere")
    expect(page.get_by_text("Known by their secret")).to_be_visible()
    expect(page.get_by_text(made)).to_have_count(0)
    assert NotionBoard.objects.get().hook_secret == made


def test_differences_are_settled_for_many_at_once(page: Page, board: NotionBoard) -> None:
    channel = make_channel()
    for title in ("Bees", "Wasps"):
        task = make_task(Status.CLAIMED, channel=channel, title=title)
        differs = [["Status", "Claimed", "Draft"], ["Title", title, "Hornets"]]
        NotionDrift.objects.create(board=board, page_id=title, task=task, title=title, kind="differs", differs=differs)
    NotionDrift.objects.create(board=board, page_id="x", title="Ants", kind="untaken")
    page.goto(LIST)
    for title in ("Bees", "Wasps"):
        page.get_by_role("row").filter(has_text=title).get_by_role("checkbox").check()
    page.get_by_label("Action").first.select_option(label="Notion's into ours")
    page.get_by_role("button", name="Run").first.click()
    expect(page.get_by_text("2 rows are being settled")).to_be_visible()
    assert rings().count((drift.SETTLE, (NotionDrift.objects.get(title="Bees").pk,))) == 1
    assert sorted(NotionDrift.objects.values_list("title", "side")) == [
        ("Ants", ""),
        ("Bees", "theirs"),
        ("Wasps", "theirs"),
    ]

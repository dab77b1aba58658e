import os, pytest
from django.contrib.auth.models import User
from tests.factories import *
from tests.pages import review_of
from production.models import *
from production.stages import *
OUT = "/tmp/room-shots"

def seed(settings):
    ch = make_channel(gates=["assets", "composites", "video", "audio", "sfx"], name="Deep Water")
    Cap.objects.create(meter="channel_day", usd="4.00", channel=ch)
    Cap.objects.create(meter="video", usd="13.00")
    t = {}
    for st in REVIEWS:
        t[st] = make_production(st, channel=ch, clips=6, assets=7, title={"assets_ready":"The deepest lake on Earth"}.get(st, f"{st.label}: what the ice remembers"))
    a = t[Status.ASSETS_READY]
    Asset.objects.filter(task=a, number=1).update(key="keeper-of-the-light")
    make_take(a, "image", 1, prompt="A brass lantern on dry stone, hard light from the right."); make_take(a, "image", 1)
    n = t[Status.AUDIO_READY]
    Take.objects.filter(task=n, kind="narration", position=3).update(seconds=11.4)
    v = t[Status.VIDEO_READY]
    make_take(v, "clip", 2, prompt="Motion 2: she drops the lantern, then the camera glides quickly back.", usd="0.42")
    return t

@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_shots(page, theme, width, settings):
    t = seed(settings)
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size({"width": width, "height": 900 if width > 400 else 844})
    want = os.environ.get("SHOTS", "").split(",")
    for st, task in t.items():
        if want != [""] and st.value not in want: continue
        page.goto(review_of(task))
        page.wait_for_timeout(900)
        page.screenshot(path=f"{OUT}/{st.value}-{width}-{theme}.png", full_page=False)
        for key, name in (("a", "approve"), ("x", "reject"), ("?", "keys")):
            if st == Status.ASSETS_READY:
                page.keyboard.press(key); page.wait_for_timeout(300)
                page.screenshot(path=f"{OUT}/{st.value}-{name}-{width}-{theme}.png"); page.keyboard.press("Escape")
        if st == Status.VIDEO_READY:
            page.evaluate("document.querySelector('#clip-2').focus()"); page.keyboard.press("c"); page.wait_for_timeout(700)
            page.screenshot(path=f"{OUT}/takes-{width}-{theme}.png"); page.keyboard.press("Escape")
        if st == Status.AUDIO_READY:
            page.keyboard.press("f"); page.wait_for_timeout(1500)
            page.screenshot(path=f"{OUT}/film-{width}-{theme}.png"); page.keyboard.press("Escape")
        if st == Status.FINAL_REVIEW:
            page.keyboard.press("e"); page.wait_for_timeout(700)
            page.screenshot(path=f"{OUT}/words-{width}-{theme}.png")
    task = t[Status.AUDIO_READY]
    page.goto(f"/admin/production/task/{task.pk}/change/"); page.wait_for_timeout(600)
    page.screenshot(path=f"{OUT}/task-{width}-{theme}.png", full_page=True)

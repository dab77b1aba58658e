"""What making a video for a channel needs of Notion, the vendors and the disk. All of it is asked for free, of the same
addresses and with the same keys as the work itself."""

import json
import time
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import requests
from django.conf import settings

from channels_app.models import Channel
from channels_app.selftest import Finding, Level, register
from production import board, providers, workspace
from production.errors import NotHereError, Trouble
from production.models import NotionBoard, Provider
from production.outside import storable, unquoted

SECONDS = 10  # for reaching a vendor, for each part of its answer, and for the whole of it
MOST_BYTES = 2_000_000
KIE_CREDIT_USD = Decimal("0.005")  # KIE's own price, unless the setting says another
LITTLE = 0.1  # of what a plan has
REFUSED = (401, 403)


class _AnswerError(Exception):
    """A vendor's answer that is none to the question."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.found)
        self.finding = finding


# ---------------------------------------------------------------- Notion


@register("notion", "Notion")
def notion_is_reachable(channel: Channel) -> Finding:
    found = _faults(channel)
    return found if isinstance(found, Finding) else Finding(Level.PASS, "Reached; the board answers")


@register("board", "Board")
def board_is_complete(channel: Channel) -> Finding:
    found = _faults(channel)
    if isinstance(found, Finding):
        return Finding(Level.FAIL, "Can't be looked at while Notion does not answer", found.remedy)
    if found:
        return Finding(Level.FAIL, " ".join(found)[:500], "manage.py notion_board repair mends what can be mended.")
    return Finding(Level.PASS, "Every property and option that is read or written is there")


def _faults(channel: Channel) -> list[str] | Finding:
    """What is wrong with the board for this channel, or why it can't be looked at. Other channels' names are none of
    its people's business."""
    ours = NotionBoard.objects.connected().first()
    if ours is None:
        return Finding(Level.FAIL, "No board is set up", "Make one: manage.py notion_board create.")
    try:
        return [found.words for found in board.check(ours, channel) if found.is_fault]
    except NotHereError as error:
        return Finding(Level.FAIL, error.message, "Share the board with the integration; the id is the data source's.")
    except Trouble as trouble:
        return Finding(Level.FAIL, trouble.message, "Look at NOTION_API_KEY, or try again when Notion answers.")


# ---------------------------------------------------------------- vendors


@register("models", "Text and image model")
def models_exist(channel: Channel) -> Finding:
    wanted = [settings.MODELS[name] for name in ("GEMINI_TEXT_MODEL", "GEMINI_IMAGE_MODEL")]
    try:
        said = _gemini(channel, "/v1beta/models?pageSize=1000")
    except _AnswerError as error:
        return error.finding
    known = {str(each.get("name", "")).removeprefix("models/") for each in _rows(said.get("models"))}
    if missing := [name for name in wanted if name not in known]:
        remedy = "Set GEMINI_TEXT_MODEL or GEMINI_IMAGE_MODEL to one that it has."
        return Finding(Level.FAIL, f"Gemini has no {' and no '.join(missing)} for this key", remedy)
    return Finding(Level.PASS, f"Gemini has {' and '.join(wanted)}")


@register("voice", "Voice")
def voice_exists(channel: Channel) -> Finding:
    voice = channel.voice_id or settings.ELEVENLABS_VOICE_ID
    if not voice:
        return Finding(Level.FAIL, "No voice is chosen", "Choose one at Voice, or set ELEVENLABS_VOICE_ID for all.")
    try:
        said = _elevenlabs(channel, f"/v1/voices/{quote(voice, safe='')}", missing=f"ElevenLabs has no voice {voice}")
    except _AnswerError as error:
        return error.finding
    return Finding(Level.PASS, f"ElevenLabs has “{str(said.get('name', voice))[:100]}”")


@register("speech", "Narration credits")
def speech_is_left(channel: Channel) -> Finding:
    try:
        said = _elevenlabs(channel, "/v1/user/subscription")
        limit, used = _number(said.get("character_limit")), _number(said.get("character_count"))
    except _AnswerError as error:
        return error.finding
    left = limit - used
    level = Level.FAIL if left <= 0 else Level.WARN if left < limit * Decimal(str(LITTLE)) else Level.PASS
    remedy = "" if level == Level.PASS else "Top up at ElevenLabs, or wait for the plan's next month."
    return Finding(level, f"{max(left, 0):,.0f} of {limit:,.0f} credits are left", remedy)


@register("clips", "Clip credits")
def clips_are_affordable(channel: Channel) -> Finding:
    """Against what the channel's next video would take."""
    try:
        credit = _number(_kie(channel, "/api/v1/chat/credit").get("data"))
    except _AnswerError as error:
        return error.finding
    usd = credit * Decimal(settings.MODELS["KIE_CREDIT_USD"] or KIE_CREDIT_USD)
    needed = channel.clips_per_video * providers.price(Provider.objects.get(pk="video"), "clip")
    found = f"{credit:,.0f} credits, {usd:.2f} USD; a video of {channel.clips_per_video} clips takes {needed:.2f}"
    if usd >= needed:
        return Finding(Level.PASS, found)
    return Finding(Level.FAIL if credit <= 0 else Level.WARN, found, "Top up at KIE.")


# ---------------------------------------------------------------- this machine


@register("disk", "Disk")
def disk_has_room(channel: Channel) -> Finding:
    free, reserve = workspace.free_bytes(), settings.DISK_RESERVE
    found = f"{free / 1e9:.1f} GB are free at WORKSPACE_ROOT; work stops below {reserve / 1e9:.1f}"
    if free < reserve:
        return Finding(Level.FAIL, found, "Free some space, or lower DISK_RESERVE_MB.")
    if free < 2 * reserve:
        return Finding(Level.WARN, found, "Free some space soon.")
    return Finding(Level.PASS, found)


# ---------------------------------------------------------------- asking


def _gemini(channel: Channel, path: str) -> dict[str, Any]:
    return _ask(channel, "Gemini", "GEMINI_BASE_URL", path, "GEMINI_API_KEY", "x-goog-api-key")


def _elevenlabs(channel: Channel, path: str, missing: str = "") -> dict[str, Any]:
    return _ask(channel, "ElevenLabs", "ELEVENLABS_BASE_URL", path, "ELEVENLABS_API_KEY", "xi-api-key", missing)


def _kie(channel: Channel, path: str) -> dict[str, Any]:
    """KIE's errors come with status 200, their code in the body."""
    said = _ask(channel, "KIE", "KIE_BASE_URL", path, "KIE_API_KEY", "Authorization", scheme="Bearer ")
    if said.get("code") in REFUSED:
        raise _refused("KIE", "KIE_API_KEY", said)
    if said.get("code") != 200:
        raise _odd("KIE", said)
    return said


def _ask(
    channel: Channel, vendor: str, address: str, path: str, name: str, header: str, missing: str = "", scheme: str = ""
) -> dict[str, Any]:
    """GET, with the channel's own key where it has one. Errors: _AnswerError."""
    key = providers.key_of(channel, name)
    if not key:
        raise _AnswerError(Finding(Level.FAIL, f"{vendor} has no key", f"Set {name}, or give the channel its own."))
    url = settings.ADDRESSES[address].rstrip("/") + path
    try:
        with requests.get(
            url, headers={header: scheme + key}, timeout=SECONDS, stream=True, allow_redirects=False
        ) as reply:
            said = _read(reply, key)
    except (requests.RequestException, ValueError, RecursionError) as error:
        found = f"{vendor} did not answer ({type(error).__name__})"
        raise _AnswerError(
            Finding(Level.FAIL, found, f"Try again later; if it stays so, look at {address}.")
        ) from error
    if reply.ok:
        return said
    if missing and (reply.status_code == 404 or "voice_not_found" in json.dumps(said)):
        raise _AnswerError(Finding(Level.FAIL, missing, "Choose one of that account's, or give the channel its key."))
    raise _refused(vendor, name, said) if reply.status_code in REFUSED else _odd(vendor, said, reply.status_code)


def _read(reply: requests.Response, key: str) -> dict[str, Any]:
    """The answer's JSON object, {} where it is none and an error. Errors: ValueError where it is none, too long or too
    slow."""
    content, until = b"", time.monotonic() + SECONDS
    for part in reply.iter_content(65_536):
        content += part
        if len(content) > MOST_BYTES or time.monotonic() > until:
            raise ValueError("too much or too slow")
    try:
        said = storable(json.loads(unquoted(content, key)))
    except ValueError:
        if reply.ok:
            raise
        return {}
    return said if isinstance(said, dict) else {}


def _refused(vendor: str, name: str, said: dict[str, Any]) -> _AnswerError:
    if "missing_permissions" in json.dumps(said):
        remedy = f"Allow {name} to read voices and the subscription, or leave it: making videos needs neither."
        return _AnswerError(Finding(Level.WARN, f"{vendor} does not let this key look", remedy))
    return _AnswerError(Finding(Level.FAIL, f"{vendor} refused the key", f"Renew {name}, or the channel's own."))


def _odd(vendor: str, said: dict[str, Any], status: int = 200) -> _AnswerError:
    what = " ".join(json.dumps(said, ensure_ascii=False).split())[:150]
    return _AnswerError(Finding(Level.FAIL, f"{vendor} answered {status}: {what}", "Try again later."))


def _rows(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e15:
        raise _AnswerError(Finding(Level.FAIL, f"“{str(value)[:40]}” is no number of credits", "Try again later."))
    return Decimal(str(value))

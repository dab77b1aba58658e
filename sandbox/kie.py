"""KIE.ai: render jobs (Kling image to video) with callbacks, and its own file upload on a second host."""

import base64
import binascii
import hmac
import json
import mimetypes
import secrets
import tempfile
import time
from pathlib import Path, PurePosixPath

import requests
from flask import Flask, Response, request, send_from_directory
from werkzeug.utils import secure_filename

from sandbox.books import Call, Document
from sandbox.desk import Desk, Reply, Sandbox, VendorError, bearer, json_object, known_key
from sandbox.media import MediaError, make_clip

USD_A_CREDIT = 0.005
START_CREDITS = 100_000.0
RENDERS_AT_ONCE = 2
WEBHOOK_KEY = "sandbox-kie_webhook_key"  # what callbacks are signed with until another key is set
CALLBACK_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)  # seconds before a failed callback is posted again
UPLOAD_LIMIT = 100 * 1000 * 1000
SEED_LIMIT = 10 * 1000 * 1000
NEGATIVE_LENGTH = 2496
# Model -> (input field of the seed image, allowed durations, credits a second, whether `sound` is required)
MODELS: dict[str, tuple[str, tuple[str, ...], float, bool]] = {
    "kling/v2-5-turbo-image-to-video-pro": ("image_url", ("5", "10"), 8.4, False),
    "kling-2.6/image-to-video": ("image_urls", ("5", "10"), 11, True),
    "kling-3.0/video": ("image_urls", tuple(str(seconds) for seconds in range(3, 16)), 18, True),
}


def app(sandbox: Sandbox) -> Flask:
    desk = Desk(sandbox, "kie", lambda _: business_error(429, "Too many requests. Please try again later."))
    sandbox.folder("kie/results")
    sandbox.errands.register("kie.render", lambda job: _render(sandbox, job), RENDERS_AT_ONCE)
    sandbox.errands.register("kie.finish", lambda job: _finish(sandbox, job["taskId"]), 2)
    sandbox.errands.register("kie.callback", lambda post: _call_back(sandbox, post), 2)

    @desk.counter("POST", "/api/v1/jobs/createTask", "createTask")
    def create_task() -> Reply:
        return _create(desk)

    @desk.counter("GET", "/api/v1/jobs/recordInfo", "recordInfo")
    def record_info() -> Reply:
        _check_key()
        job = sandbox.books.get("kie-job", request.args.get("taskId", ""))
        if job is None:
            raise business_error(422, "recordInfo is null")
        return Reply(body={"code": 200, "msg": "success", "data": _public(job)}, ref=job["taskId"])

    @desk.counter("GET", "/api/v1/chat/credit", "credit")
    def credit() -> Reply:
        _check_key()
        return Reply(body={"code": 200, "msg": "success", "data": _credits(sandbox)})

    @desk.counter("GET", "/files/<name>", "download")
    def result(name: str) -> Response:
        return send_from_directory(sandbox.folder("kie/results"), name)

    return desk.app


def upload_app(sandbox: Sandbox) -> Flask:
    desk = Desk(sandbox, "kie-upload")
    desk.app.config["MAX_CONTENT_LENGTH"] = UPLOAD_LIMIT

    @desk.counter("POST", "/api/file-stream-upload", "file-stream-upload")
    def stream() -> Reply:
        _check_key()
        file = request.files.get("file")
        if file is None or not request.form.get("uploadPath"):
            raise business_error(400, "file and uploadPath are required")
        name = request.form.get("fileName") or file.filename or ""
        return _keep(sandbox, request.form["uploadPath"], name, file.read())

    @desk.counter("POST", "/api/file-base64-upload", "file-base64-upload")
    def base64_upload() -> Reply:
        _check_key()
        body = json_object() or {}
        try:
            data = base64.b64decode(str(body["base64Data"]).rpartition(",")[2], validate=True)
            return _keep(sandbox, str(body["uploadPath"]), str(body.get("fileName") or ""), data)
        except (KeyError, binascii.Error) as trouble:
            raise business_error(400, "base64Data and uploadPath are required") from trouble

    @desk.app.get("/files/<path:name>")
    def download(name: str) -> Response:
        return send_from_directory(sandbox.folder("kie/uploads"), name)

    return desk.app


def _keep(sandbox: Sandbox, folder: str, name: str, data: bytes) -> Reply:
    """Stores an upload; the same path and name overwrite, as at KIE."""
    parts = [secure_filename(part) for part in PurePosixPath(folder).parts]
    path = "/".join([*filter(None, parts), secure_filename(name) or f"{secrets.token_hex(8)}.bin"])
    file = sandbox.folder("kie/uploads") / path
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{secrets.token_hex(4)}.part")
    part.write_bytes(data)
    part.replace(file)
    described = {
        "fileName": file.name,
        "filePath": path,
        "downloadUrl": f"{request.host_url}files/{path}",
        "fileSize": len(data),
        "mimeType": mimetypes.guess_type(path)[0] or "application/octet-stream",
        "uploadedAt": round(time.time() * 1000),
    }
    body = {"success": True, "code": 200, "msg": "File uploaded successfully", "data": described}
    return Reply(body=body, ref=path, text=name)


def _create(desk: Desk) -> Reply:
    _check_key()
    body = json_object()
    if body is None:
        raise business_error(400, "The request body is not JSON")
    seed, given = _checked_input(body)
    prompt = given["prompt"]
    if desk.refused(prompt, "createTask"):
        raise business_error(422, "The prompt was rejected: it may contain sensitive content.", text=prompt)
    cost = _cost(body["model"], given)
    sandbox = desk.sandbox
    _charge(sandbox, cost)
    job = _new_job(sandbox, body, seed, given) | {"credits": cost}
    job["doomed"] = desk.fault("createTask", prompt, "render_fail") is not None
    with sandbox.books.transaction():
        sandbox.books.put("kie-job", job["taskId"], job)
        sandbox.errands.add("kie.render", {"taskId": job["taskId"]})
    answer = {"code": 200, "msg": "success", "data": {"taskId": job["taskId"], "recordId": job["taskId"]}}
    return Reply(
        body=answer,
        ref=job["taskId"],
        usd=round(cost * USD_A_CREDIT, 6),
        units=cost,
        unit="credit",
        text=f"{prompt} | seed {seed}",
        note="render_fail" if job["doomed"] else "",
    )


def _new_job(sandbox: Sandbox, body: Document, seed: str, given: Document) -> Document:
    return {
        "taskId": secrets.token_hex(16),
        "model": body["model"],
        "state": "open",
        "param": json.dumps(body),
        "prompt": given["prompt"],
        "seed": seed,
        "host": sandbox.addresses["KIE_BASE_URL"],
        "seconds": int(given["duration"]),
        "callBackUrl": body.get("callBackUrl") or "",
        "created": time.time(),
        "due": time.time() + sandbox.pace.now.render,
        "rendered": False,
        "trouble": "",
    }


def _checked_input(body: Document) -> tuple[str, Document]:
    """The seed's address and the input; raises the vendor's 422 for what a model does not take."""
    model, given = body.get("model"), body.get("input")
    if not isinstance(model, str) or model not in MODELS:
        raise business_error(422, "The model name you specified is not supported.")
    if not isinstance(given, dict):
        raise business_error(422, "input is required")
    field, durations, _, sound_required = MODELS[model]
    prompt, seed = given.get("prompt"), given.get(field)
    if field == "image_urls":
        seed = seed[0] if isinstance(seed, list) and seed else None
    if not isinstance(prompt, str) or not 0 < len(prompt) <= 2500:
        raise business_error(422, "prompt is required and has at most 2500 characters")
    if not isinstance(seed, str) or not seed.startswith(("http://", "https://")):
        raise business_error(422, f"{field} must be a public URL", text=prompt)
    if given.get("duration", "5") not in durations:
        raise business_error(422, f"duration must be one of the strings {', '.join(durations)}", text=prompt)
    if sound_required and not isinstance(given.get("sound"), bool):
        raise business_error(422, "sound is required", text=prompt)
    _check_taste(given, prompt)
    return seed, {"duration": "5"} | given


def _check_taste(given: Document, prompt: str) -> None:
    """What may be left out, and has bounds where it is not."""
    if len(str(given.get("negative_prompt", ""))) > NEGATIVE_LENGTH:
        raise business_error(422, f"negative_prompt has at most {NEGATIVE_LENGTH} characters", text=prompt)
    scale = given.get("cfg_scale", 0.5)
    if not isinstance(scale, int | float) or not 0 <= scale <= 1:
        raise business_error(422, "cfg_scale must be between 0 and 1", text=prompt)


def _cost(model: str, given: Document) -> float:
    """Credits of a job: Kling 2.6 and 3.0 cost twice as much with sound."""
    return MODELS[model][2] * int(given["duration"]) * (2 if given.get("sound") else 1)


def _credits(sandbox: Sandbox) -> float:
    return float((sandbox.books.get("kie", "credits") or {"left": START_CREDITS})["left"])


def set_credits(sandbox: Sandbox, left: float) -> None:
    sandbox.books.put("kie", "credits", {"left": left})


def set_webhook_key(sandbox: Sandbox, key: str) -> None:
    sandbox.books.put("kie", "webhook-key", {"key": key})


def _charge(sandbox: Sandbox, cost: float) -> None:
    """Takes credits (gives back with a negative cost); raises 402 where they don't suffice."""
    with sandbox.books.transaction():
        left = round(_credits(sandbox) - cost, 4)
        if left < 0:
            raise business_error(402, "Credits insufficient. Please top up.")
        set_credits(sandbox, left)


def _render(sandbox: Sandbox, errand: Document) -> None:
    """Makes the clip at once; it shows as finished no sooner than its time."""
    task = errand["taskId"]
    job = sandbox.books.get("kie-job", task)
    if job is None or job["rendered"]:
        return
    trouble = "" if not job["doomed"] else "The generation failed upstream. Please try again."
    try:
        if not trouble:
            _make(sandbox, job)
    except (MediaError, requests.RequestException) as error:
        trouble = f"The image could not be used: {error}"
    sandbox.books.amend("kie-job", task, lambda now: now | {"rendered": True, "trouble": trouble})
    sandbox.errands.add("kie.finish", {"taskId": task}, after=max(0.0, job["due"] - time.time()))


def _make(sandbox: Sandbox, job: Document) -> None:
    results = sandbox.folder("kie/results")
    fetched = requests.get(job["seed"], timeout=20)
    fetched.raise_for_status()
    if len(fetched.content) > SEED_LIMIT:
        raise MediaError("its size exceeds 10 MB")
    if not fetched.content.startswith((b"\x89PNG", b"\xff\xd8")):
        raise MediaError("its format is neither JPEG nor PNG")
    with tempfile.TemporaryDirectory(dir=sandbox.state) as folder:
        seed = Path(folder) / "seed"
        seed.write_bytes(fetched.content)
        make_clip(seed, results / f"{job['taskId']}.mp4", prompt=job["prompt"], seconds=job["seconds"])


def _finish(sandbox: Sandbox, task: str) -> None:
    with sandbox.books.transaction():
        job = sandbox.books.get("kie-job", task)
        if job is None or job["state"] != "open":
            return
        job |= {"state": "fail" if job["trouble"] else "success", "completed": time.time()}
        sandbox.books.put("kie-job", task, job)
        if job["trouble"]:
            _charge(sandbox, -job["credits"])  # KIE gives the credits of a failed job back
        if job["callBackUrl"]:
            sandbox.errands.add("kie.callback", {"taskId": task, "url": job["callBackUrl"], "attempt": 0})


def _call_back(sandbox: Sandbox, post: Document) -> float | None:
    """Posts the job's end; returns the pause before the next attempt, None when taken or given up."""
    job = sandbox.books.get("kie-job", post["taskId"])
    assert job is not None
    failed = job["state"] == "fail"
    data = _public(job) | {"remainedCredits": _credits(sandbox)}
    body = {"code": 501 if failed else 200, "msg": job["trouble"] or "success", "data": data}
    trouble = sandbox.faults.take("kie", "callback", job["prompt"], frozenset({"drop", "duplicate", "late"}))
    kind = trouble.kind if trouble else ""
    if trouble and kind == "late":
        return trouble.seconds
    copies = {"drop": 0, "duplicate": 2}.get(kind, 1)
    status = [_post(sandbox, post["url"], job["taskId"], body) for _ in range(copies)][-1] if copies else 0
    taken, attempt = 200 <= status < 300, post["attempt"]
    told = f"{data['state']} attempt {attempt + 1}"
    named = {"vendor": "kie", "operation": "callback", "ref": job["taskId"], "text": told, "fault": kind}
    sandbox.books.record(Call(**named, status=status, accepted=taken))
    if taken or not copies or attempt >= len(CALLBACK_PAUSES):
        return None
    post["attempt"] = attempt + 1
    return CALLBACK_PAUSES[attempt]


def _post(sandbox: Sandbox, url: str, task: str, body: Document) -> int:
    """The HTTP status, 0 where nobody answered."""
    try:
        return requests.post(url, json=body, headers=_signed(sandbox, task), timeout=10).status_code
    except requests.RequestException:
        return 0


def _signed(sandbox: Sandbox, task: str) -> dict[str, str]:
    """KIE signs job and time, not the body; nothing where the account has no key for it."""
    key = (sandbox.books.get("kie", "webhook-key") or {"key": WEBHOOK_KEY})["key"]
    if not key:
        return {}
    at = str(int(time.time()))
    digest = hmac.digest(key.encode(), f"{task}.{at}".encode(), "sha256")
    return {"X-Webhook-Timestamp": at, "X-Webhook-Signature": base64.b64encode(digest).decode()}


def _state(job: Document) -> str:
    """waiting, queuing, generating by the share of the time that has passed, then success or fail."""
    if job["state"] != "open":
        return str(job["state"])
    share = (time.time() - job["created"]) / max(job["due"] - job["created"], 0.001)
    return "waiting" if share < 0.1 else "queuing" if share < 0.25 else "generating"


def _public(job: Document) -> Document:
    state = _state(job)
    done = state in ("success", "fail")
    urls = [f"{job['host']}/files/{job['taskId']}.mp4"]
    completed = job.get("completed", 0)
    return {
        "taskId": job["taskId"],
        "model": job["model"],
        "state": state,
        "param": job["param"],
        "resultJson": json.dumps({"resultUrls": urls}) if state == "success" else "",
        "failCode": "501" if state == "fail" else "",
        "failMsg": job["trouble"] if state == "fail" else "",
        "costTime": round((completed - job["created"]) * 1000) if done else 0,
        "consumeCredits": job["credits"] if state == "success" else 0,
        "createTime": round(job["created"] * 1000),
        "completeTime": round(completed * 1000) if done else None,
        "updateTime": round((completed or time.time()) * 1000),
    }


def jobs(sandbox: Sandbox) -> list[Document]:
    """Every job as recordInfo tells it, with its prompt and seed."""
    return [_public(job) | {"prompt": job["prompt"], "seed": job["seed"]} for job in sandbox.books.all("kie-job")]


def business_error(code: int, message: str, *, text: str = "") -> VendorError:
    """KIE's own errors come inside HTTP 200."""
    return VendorError(200, {"code": code, "msg": message, "data": None}, text=text)


def _check_key() -> None:
    if not known_key(bearer()):
        raise business_error(401, "You do not have access permissions")

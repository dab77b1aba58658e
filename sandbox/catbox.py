"""catbox.moe: anonymous file upload, answered in plain text."""

import secrets
from pathlib import PurePath

from flask import Flask, Response, request, send_from_directory

from sandbox.desk import Desk, Reply, Sandbox, VendorError

MAX_BYTES = 200 * 1000 * 1000
BARRED = {".exe", ".scr", ".cpl", ".jar", ".doc", ".docx"}


def app(sandbox: Sandbox) -> Flask:
    desk = Desk(sandbox, "catbox")
    folder = sandbox.folder("catbox")

    @desk.counter("POST", "/user/api.php", "fileupload")
    def upload() -> Reply:
        file = request.files.get("fileToUpload")
        if request.form.get("reqtype") != "fileupload":
            raise VendorError(412, "Invalid request type.")
        if file is None:
            raise VendorError(412, "No files given.")
        suffix = PurePath(file.filename or "").suffix.lower()
        if suffix in BARRED:
            raise VendorError(412, "File type not allowed.")
        name = secrets.token_hex(3) + suffix
        file.save(folder / name)
        if (folder / name).stat().st_size > MAX_BYTES:
            (folder / name).unlink()
            raise VendorError(412, "File too large.")
        return Reply(body=f"{request.host_url}files/{name}", ref=name, text=file.filename or "")

    @desk.app.get("/files/<name>")
    def download(name: str) -> Response:
        return send_from_directory(folder, name)

    return desk.app

"""The usual clients upload a picture and a PDF, and read the files back."""

import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import requests
from PIL import Image

from dev.servers.stack import Stack
from tests.support.files import corpus
from tests.support.stack.api_client import ApiUser

pytestmark = pytest.mark.xdist_group("shared_stack")

SECONDS = 60
NODE = """
import { readFile } from "node:fs/promises";
const [api, token, path] = process.argv.slice(1);
const headers = { Authorization: token };
const form = new FormData();
form.append("file", new Blob([await readFile(path)]), path.split("/").pop());
const sent = await fetch(`${api}/file/?wait=30`, { method: "POST", headers, body: form });
const { id } = await sent.json();
const read = await fetch(`${api}/file/${id}/content`, { headers });
process.stdout.write(Buffer.from(await read.arrayBuffer()));
"""


def run(*command: str) -> bytes:
    return subprocess.run(command, capture_output=True, check=True, timeout=SECONDS).stdout


def through_curl(api: str, token: str, path: Path, *body: str) -> bytes:
    headers = ("-sSf", "-H", f"Authorization: {token}")
    sent = run("curl", *headers, *body, f"{api}/file/?wait=30")
    return run("curl", *headers, "-L", f"{api}/file/{json.loads(sent)['id']}/content")


def through_curl_raw(api: str, token: str, path: Path) -> bytes:
    name = f'Content-Disposition: attachment; filename="{path.name}"'
    return through_curl(api, token, path, "-H", name, "--data-binary", f"@{path}")


def through_curl_form(api: str, token: str, path: Path) -> bytes:
    return through_curl(api, token, path, "-F", f"file=@{path}")


def through_httpx(api: str, token: str, path: Path) -> bytes:
    headers = {"Authorization": token}
    with httpx.Client(headers=headers, timeout=SECONDS, trust_env=False) as client:
        with path.open("rb") as file:
            sent = client.post(f"{api}/file/?wait=30", files={"file": file})
        return client.get(f"{api}/file/{sent.json()['id']}/content").content


def through_requests(api: str, token: str, path: Path) -> bytes:
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = token
        with path.open("rb") as file:
            sent = session.post(f"{api}/file/?wait=30", files={"file": file}, timeout=SECONDS)
        return session.get(f"{api}/file/{sent.json()['id']}/content", timeout=SECONDS).content


def through_node(api: str, token: str, path: Path) -> bytes:
    node = shutil.which("node") or pytest.fail("No Node.js: install version 20 or newer")
    return run(node, "--input-type=module", "-e", NODE, api, token, str(path))


@pytest.mark.parametrize(
    "through",
    [through_curl_raw, through_curl_form, through_httpx, through_requests, through_node],
)
def test_client_uploads_a_picture_and_a_pdf_and_reads_both(
    through: Callable[[str, str, Path], bytes], shared_stack: Stack, tmp_path: Path
) -> None:
    user = ApiUser(shared_stack.url).sign_in()
    photo, document = tmp_path / "photo.jpg", tmp_path / "report.pdf"
    photo.write_bytes(corpus.photo())
    document.write_bytes(corpus.pdf(3))

    read = [
        through(user.url, str(user.session.headers["Authorization"]), path)
        for path in (photo, document)
    ]

    picture = Image.open(io.BytesIO(read[0]))
    assert (picture.format, picture.size, len(picture.getexif())) == ("JPEG", (60, 40), 0)
    assert read[1] == document.read_bytes()
    files = user.get("file/")["results"]
    assert [(file["name"], file["kind"]) for file in files] == [
        ("report.pdf", "pdf"),
        ("photo.jpg", "image"),
    ]

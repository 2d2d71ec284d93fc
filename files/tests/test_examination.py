"""Examinations: what is stored of a fit file, and what becomes of a hostile file."""

import io
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from PIL import Image

from accounts.models import User
from billing.tests.plans import with_plan
from files.deletions import delete_due
from files.examination.run import examine_waiting
from files.models import File
from files.storage import blobs
from tests.support.files import corpus
from tests.support.files.clamd import FakeClamd
from tests.support.files.uploads import examined, post, uploaded
from tests.support.marks import transactional
from tests.support.messaging.asgi import ask
from tests.support.plugins.files import stored_names
from tests.support.stack.processes import short_files

pytestmark = transactional

RED, BLUE = (254, 0, 0), (0, 0, 254)
SCRIPT = b"<script>alert(1)</script>"


def stored_bytes(file: File, *, is_thumbnail: bool = False) -> bytes:
    with blobs.opened(blobs.thumbnail_key(file.key) if is_thumbnail else file.key) as stored:
        return stored.read()


def looks_like(picture: Image.Image, at: tuple[int, int], colour: tuple[int, int, int]) -> bool:
    found = picture.convert("RGB").getpixel(at)
    return all(abs(a - b) < 40 for a, b in zip(found, colour, strict=True))


def test_photo_loses_its_metadata(alice: User) -> None:
    file = examined(alice, corpus.photo() + SCRIPT, name="photo.jpg")

    content = stored_bytes(file)
    picture = Image.open(io.BytesIO(content))

    assert (file.status, file.kind, file.media_type) == ("ready", "image", "image/jpeg")
    assert (file.width, file.height, file.tokens, file.size) == (60, 40, 1120, len(content))
    assert not picture.getexif()
    assert not {"exif", "icc_profile", "comment"} & set(picture.info)
    for secret in (b"Exif", b"secret", b"GPS", SCRIPT):
        assert secret not in content
        assert secret not in stored_bytes(file, is_thumbnail=True)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_picture_is_upright_in_each_orientation(alice: User, orientation: int) -> None:
    # How a camera stores the upright picture, for each orientation.
    turned = {
        1: [],
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }
    upright = corpus.halves()
    upright.paste("lime", (0, 0, 30, 20))
    stored = upright
    for step in turned[orientation]:
        stored = stored.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation

    file = examined(alice, corpus.encoded(stored, "JPEG", exif=exif, quality=95), name="a.jpg")
    picture = Image.open(io.BytesIO(stored_bytes(file)))
    small = Image.open(io.BytesIO(stored_bytes(file, is_thumbnail=True)))

    assert (file.width, file.height) == (60, 40)
    for found in (picture, small):
        assert looks_like(found, (15, 10), (0, 255, 0))
        assert looks_like(found, (15, 30), RED)
        assert looks_like(found, (45, 10), BLUE)


@pytest.mark.parametrize(
    ("content", "mode"),
    [
        (corpus.encoded(corpus.halves(), "PNG"), "RGB"),
        (corpus.encoded(corpus.halves().convert("RGBA"), "PNG"), "RGBA"),
        (corpus.encoded(corpus.halves().convert("P"), "PNG"), "RGB"),
        (corpus.encoded(corpus.halves().convert("L"), "PNG"), "L"),
        (corpus.encoded(Image.new("I;16", (9, 9), 40_000), "PNG"), "L"),
        (corpus.encoded(corpus.halves(), "WEBP"), "RGB"),
        (corpus.encoded(corpus.halves(), "GIF"), "RGB"),
        (
            corpus.encoded(
                corpus.halves().convert("P"),
                "GIF",
                save_all=True,
                append_images=[Image.new("P", (60, 40))],
            ),
            "RGB",
        ),
    ],
    ids=["rgb", "rgba", "palette", "grey", "16 bits", "webp", "gif", "animated gif"],
)
def test_other_pictures_become_png(alice: User, content: bytes, mode: str) -> None:
    file = examined(alice, content, name="picture")

    picture = Image.open(io.BytesIO(stored_bytes(file)))

    assert (file.status, file.media_type) == ("ready", "image/png")
    assert (picture.format, picture.mode) == ("PNG", mode)
    assert not getattr(picture, "is_animated", False)


def test_cmyk_photo_becomes_rgb(alice: User) -> None:
    content = corpus.encoded(corpus.halves().convert("CMYK"), "JPEG")

    file = examined(alice, content, name="print.jpg")

    assert Image.open(io.BytesIO(stored_bytes(file))).mode == "RGB"


def test_large_picture_is_made_smaller(alice: User) -> None:
    content = corpus.encoded(Image.new("RGB", (6000, 3000), "red"), "JPEG")

    file = examined(alice, content, name="large.jpg")
    small = Image.open(io.BytesIO(stored_bytes(file, is_thumbnail=True)))

    assert (file.width, file.height) == (3072, 1536)
    assert (small.format, small.size) == ("WEBP", (512, 256))


@pytest.mark.parametrize(
    ("content", "kind", "found"),
    [
        (corpus.pdf(3), "pdf", {"pages": 3, "tokens": 3360}),
        (corpus.pdf(owner_password="o"), "pdf", {"pages": 1}),
        (corpus.wav(2.0), "audio", {"seconds": 2.0, "tokens": 64, "media_type": "audio/wav"}),
        (corpus.adts(100), "audio", {"seconds": 2.32, "media_type": "audio/aac"}),
        (corpus.mp3(100), "audio", {"media_type": "audio/mpeg"}),
        ("\ufefffür".encode("utf-16"), "text", {"size": 7, "media_type": "text/plain"}),
    ],
    ids=["pdf", "pdf for reading", "wav", "aac", "mp3", "utf-16"],
)
def test_other_kinds_are_read(
    alice: User, content: bytes, kind: str, found: dict[str, Any]
) -> None:
    file = examined(alice, content, name="file")

    assert (file.status, file.kind) == ("ready", kind)
    assert {name: getattr(file, name) for name in found} == found
    assert file.tokens


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (corpus.pdf(password="p"), "file_encrypted"),
        (corpus.pdf(1001), "too_many_pages"),
        (b"%PDF-1.7\n", "file_unreadable"),
        (corpus.pdf()[:200], "file_unreadable"),
        (corpus.png_with(size=(30_000, 30_000)), "too_many_pixels"),
        (corpus.png_with(size=(30_000, 2)), "file_unreadable"),
        (corpus.png_with(corpus.png_chunk(b"zTXt", b"a\0\0" + corpus.bomb())), "file_unreadable"),
        (corpus.photo()[:600], "file_unreadable"),
        (b"\xff\xd8\xff\xe0" + b"x" * 100, "file_unreadable"),
        (b"GIF89a" + b"\xff" * 50, "file_unreadable"),
        (b"RIFF\0\0\0\0WAVE" + b"x" * 10, "file_unreadable"),
    ],
    ids=[
        "password",
        "pages",
        "empty pdf",
        "cut pdf",
        "pixels",
        "wrong size",
        "text bomb",
        "cut jpeg",
        "no jpeg",
        "no gif",
        "no wav",
    ],
)
def test_hostile_file_is_refused_and_its_bytes_go(
    alice: User, content: bytes, code: str, files_folder: Any
) -> None:
    file = examined(alice, content, name="hostile")

    _, _, body = ask_file(alice, file)
    delete_due()

    assert (file.status, file.refusal_code) == ("refused", code)
    assert body["refusal"]["code"] == code
    assert body["url"] is None
    assert File.objects.used_bytes(user_id=alice.pk) == 0
    assert str(file.pk) not in stored_names(files_folder)
    assert ask(f"/api/v1/file/{file.pk}/content", alice)[0] == 404


def ask_file(user: User, file: File) -> tuple[int, dict[str, str], Any]:
    status, headers, body = ask(f"/api/v1/file/{file.pk}", user)
    return status, headers, json.loads(body)


@pytest.mark.parametrize(
    "content",
    [
        corpus.encoded(corpus.halves(), "GIF") + SCRIPT,
        corpus.encoded(corpus.halves(), "PNG") + SCRIPT,
        corpus.png_with(corpus.png_chunk(b"tEXt", b"a\0" + SCRIPT)),
        corpus.png_with(corpus.png_chunk(b"iCCP", b"a\0\0" + corpus.bomb())),
    ],
    ids=["gif", "png", "text chunk", "profile bomb"],
)
def test_polyglot_is_harmless(alice: User, content: bytes) -> None:
    file = examined(alice, content, name="polyglot.html")

    assert file.status in ("ready", "refused")
    if file.status == "ready":
        assert SCRIPT not in stored_bytes(file)
        assert file.size < 100_000


def test_picture_that_grows_beyond_the_space_is_refused(alice: User, settings: Any) -> None:
    noise = Image.frombytes("RGB", (700, 700), os.urandom(700 * 700 * 3))
    content = corpus.encoded(noise, "WEBP", quality=10)
    with_plan(settings, "basic", storage_mb=1)

    file = examined(alice, content, name="noise.webp")

    assert (file.status, file.refusal_code) == ("refused", "storage_full")
    assert File.objects.used_bytes(user_id=alice.pk) == 0


def test_file_that_ends_no_examination_is_refused(alice: User) -> None:
    file = uploaded(alice)
    File.objects.filter(pk=file.pk).update(attempt=3)

    examined(alice, b"another")
    file.refresh_from_db()

    assert (file.status, file.refusal_code) == ("refused", "file_unreadable")


def test_storage_down_gives_the_attempt_back(alice: User, settings: Any, tmp_path: Any) -> None:
    file = uploaded(alice)
    (tmp_path / "taken").write_text("no folder")
    options = {**settings.STORAGES["files"]["OPTIONS"], "location": str(tmp_path / "taken")}
    working = settings.STORAGES
    broken = {**working["files"], "OPTIONS": options}

    settings.STORAGES = {**working, "files": broken}
    examine_waiting()
    file.refresh_from_db()
    waiting = (file.status, file.attempt, file.lease_expires_at)
    settings.STORAGES = working
    examine_waiting()
    file.refresh_from_db()

    assert waiting == ("received", 0, None)
    assert file.status == "ready"


@pytest.mark.parametrize(
    "content",
    [
        b"a" * 400_000,
        corpus.encoded(Image.frombytes("RGB", (300, 300), os.urandom(270_000)), "WEBP", quality=10),
    ],
    ids=["before the process", "in the process"],
)
def test_full_disk_gives_the_attempt_back(alice: User, content: bytes) -> None:
    file = uploaded(alice, content)

    with short_files(os.getpid(), 200_000):
        examine_waiting()
    file.refresh_from_db()
    waiting = (file.status, file.attempt, file.lease_expires_at)
    examine_waiting()
    file.refresh_from_db()

    assert waiting == ("received", 0, None)
    assert file.status == "ready"


def test_scanner_decides(alice: User, settings: Any) -> None:
    settings.FILE_SCANNER, settings.CLAMD_ADDRESS = "files.scanners.Clamd", FakeClamd().address

    fit = examined(alice, b"healthy")
    infected = examined(alice, b"a virus")
    settings.CLAMD_ADDRESS = "127.0.0.1:1"
    unscanned = examined(alice, b"healthy too")

    assert (fit.status, infected.refusal_code) == ("ready", "file_infected")
    assert (unscanned.status, unscanned.attempt) == ("received", 0)


def test_wrong_declared_type_is_ignored(alice: User) -> None:
    _, _, body = post(alice, corpus.photo(), **{"Content-Type": "text/html"})

    assert (body["kind"], body["media_type"]) == ("image", "image/jpeg")


def test_examination_lets_other_processes_go_first() -> None:
    script = (
        "import os; from files.examination.__main__ import limit_resources;"
        "before = os.nice(0); limit_resources(); print(os.nice(0) - before)"
    )

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ran.stdout == "10\n"

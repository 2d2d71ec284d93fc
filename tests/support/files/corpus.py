"""Files for examinations: fit ones of each kind, and hostile ones."""

import io
import random
import struct
import wave
import zlib
from typing import Any

from PIL import Image, ImageCms
from pypdf import PdfWriter

GPS = {1: "N", 2: (48.0, 51.0, 29.0), 3: "E", 4: (2.0, 17.0, 40.0)}


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def halves(width: int = 60, height: int = 40) -> Image.Image:
    """A picture whose left half is red and whose right half is blue."""
    picture = Image.new("RGB", (width, height), "blue")
    picture.paste("red", (0, 0, width // 2, height))
    return picture


def photo(*, orientation: int = 1) -> bytes:
    """A JPEG with GPS, an orientation, a profile and a comment."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x8825] = GPS
    exif[0x010E] = "secret description"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return encoded(
        halves(), "JPEG", exif=exif, icc_profile=profile, comment=b"secret comment", quality=95
    )


def png_chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def png_with(*chunks: bytes, size: tuple[int, int] = (1, 1)) -> bytes:
    """A PNG with these chunks before the picture of one pixel."""
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(b"\0\1\2\3"))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + pixels + png_chunk(b"IEND", b"")


def bomb(megabytes: int = 200) -> bytes:
    """Zeros as a zlib stream, of equal blocks: zlib itself takes seconds for the zeros."""
    deflate = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    block = deflate.compress(b"\0" * 1_000_000) + deflate.flush(zlib.Z_FULL_FLUSH)
    checksum = struct.pack(">HH", megabytes * 1_000_000 % 65_521, 1)
    return b"\x78\xda" + block * megabytes + b"\x03\0" + checksum


def pdf(
    pages: int = 1,
    *,
    password: str = "",
    owner_password: str | None = None,
    attached_bytes: int = 0,
) -> bytes:
    writer = PdfWriter()
    for _ in range(pages):
        writer.add_blank_page(100, 100)
    if attached_bytes:
        writer.add_attachment("noise", random.Random(0).randbytes(attached_bytes))
    if password or owner_password:
        writer.encrypt(password, owner_password, algorithm="AES-256")
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def wav(seconds: float = 2.0) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(8000)
        written.writeframes(b"\0\0" * int(8000 * seconds))
    return file.getvalue()


def adts(frames: int = 100) -> bytes:
    """Raw AAC: frames of 1,024 samples at 44,100 Hz without sound."""
    length = 7 + 8
    head = bytes([0xFF, 0xF1, 0x50, 0x80, length >> 3, (length & 7) << 5 | 0x1F, 0xFC])
    return (head + b"\0" * 8) * frames


def mp3(frames: int = 100) -> bytes:
    """Frames of MPEG 1 layer 3, of 417 bytes each."""
    return (b"\xff\xfb\x90\xc4" + b"\0" * 413) * frames

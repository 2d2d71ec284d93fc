"""Audio: stored unchanged, with its length."""

import shutil
from math import ceil
from typing import IO, BinaryIO, cast

from tinytag import TinyTag, TinyTagException

from files.examination.findings import Findings, Unfit

# Gemini counts 25 to 32.
TOKENS_PER_SECOND = 32
ADTS_SAMPLES_A_FRAME = 1024
ADTS_RATES = (
    *(96_000, 88_200, 64_000, 48_000, 44_100, 32_000),
    *(24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350),
)
# A length above a day is a lie of the header.
MOST_SECONDS = 24 * 3600
BROKEN = (TinyTagException, OSError, ValueError, ArithmeticError, LookupError, TypeError)


def examine_audio(received: IO[bytes], *, media_type: str, content: IO[bytes]) -> Findings:
    """Read the length; the file is stored unchanged. Raises Unfit."""
    read = adts_seconds if media_type == "audio/aac" else tagged_seconds
    seconds = read(received)
    if not 0 < seconds <= MOST_SECONDS:
        raise Unfit("file_unreadable")
    received.seek(0)
    shutil.copyfileobj(received, content)
    tokens = ceil(seconds * TOKENS_PER_SECOND)
    return Findings(media_type=media_type, tokens=tokens, seconds=round(seconds, 2))


def tagged_seconds(received: IO[bytes]) -> float:
    """Return the length by the headers and frames. Raises Unfit."""
    try:
        tag = TinyTag.get(file_obj=cast(BinaryIO, received), tags=False, duration=True)
    except BROKEN as error:
        raise Unfit("file_unreadable") from error
    return tag.duration or 0.0


def adts_seconds(received: IO[bytes]) -> float:
    """Add up the frames of raw AAC, which tinytag does not read."""
    content = received.read()
    position, seconds = 0, 0.0
    while position + 7 <= len(content):
        head = content[position : position + 7]
        rate = head[2] >> 2 & 0xF
        length = (head[3] & 0x3) << 11 | head[4] << 3 | head[5] >> 5
        if head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or rate >= len(ADTS_RATES) or length < 7:
            break
        seconds += ADTS_SAMPLES_A_FRAME / ADTS_RATES[rate]
        position += length
    return seconds

"""PDF files and text."""

import shutil
from math import ceil
from typing import IO

from pypdf import PasswordType, PdfReader
from pypdf.errors import PyPdfError

from files.examination.findings import Findings, Unfit
from files.examination.types import MOST_TEXT_BYTES, TEXT, UnknownType, decode_text

MOST_PAGES = 1_000
# Gemini counts a page as a picture.
TOKENS_PER_PAGE = 1_120
# Fewer than the average, so that an estimate is seldom too low.
CHARACTERS_PER_TOKEN = 3
# Of a parser without a defined set of errors, for a damaged file.
BROKEN = (PyPdfError, OSError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError)


def examine_pdf(received: IO[bytes], *, content: IO[bytes]) -> Findings:
    """Count the pages; the file is stored unchanged. Raises Unfit."""
    try:
        reader = PdfReader(received)
        # Many documents are encrypted without a password for reading.
        if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
            raise Unfit("file_encrypted")
        pages = len(reader.pages)
    except (*BROKEN, NotImplementedError, RecursionError) as error:
        raise Unfit("file_unreadable") from error
    if pages == 0:
        raise Unfit("file_unreadable")
    if pages > MOST_PAGES:
        raise Unfit("too_many_pages")
    received.seek(0)
    shutil.copyfileobj(received, content)
    return Findings(media_type="application/pdf", tokens=pages * TOKENS_PER_PAGE, pages=pages)


def examine_text(received: IO[bytes], *, content: IO[bytes]) -> Findings:
    """Write the text in UTF-8. Raises Unfit."""
    try:
        text = decode_text(received.read(MOST_TEXT_BYTES + 1))
    except UnknownType as error:
        raise Unfit("file_unreadable") from error
    if not text:
        raise Unfit("file_unreadable")
    content.write(text.encode())
    return Findings(media_type=TEXT, tokens=ceil(len(text) / CHARACTERS_PER_TOKEN))

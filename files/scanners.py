"""Virus scanners: FILE_SCANNER names one, as `clamd` or as a dotted path."""

import socket
import struct
from typing import IO, Protocol

from django.conf import settings
from django.utils.module_loading import import_string

PIECE_BYTES = 64 * 1024
WAIT_SECONDS = 30.0


class ScannerUnavailable(Exception):
    """The scanner gives no verdict; the examination is repeated later."""


class Scanner(Protocol):
    def is_infected(self, file: IO[bytes]) -> bool:
        """Scan a file from the start. Raises ScannerUnavailable."""


class Clamd:
    """clamd of ClamAV at CLAMD_ADDRESS, by the command INSTREAM."""

    def is_infected(self, file: IO[bytes]) -> bool:
        host, _, port = settings.CLAMD_ADDRESS.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), WAIT_SECONDS) as clamd:
                clamd.sendall(b"zINSTREAM\0")
                file.seek(0)
                while piece := file.read(PIECE_BYTES):
                    clamd.sendall(struct.pack("!I", len(piece)) + piece)
                clamd.sendall(struct.pack("!I", 0))
                verdict = b"".join(iter(lambda: clamd.recv(4096), b""))
        except OSError as error:
            raise ScannerUnavailable(str(error)) from error
        answer = verdict.rstrip(b"\0")
        if answer.endswith(b"FOUND"):
            return True
        if answer.endswith(b"OK"):
            return False
        raise ScannerUnavailable(repr(answer[:100]))


def is_infected(file: IO[bytes]) -> bool:
    """Ask the scanner of the settings, if there is a scanner. Raises ScannerUnavailable."""
    if not settings.FILE_SCANNER:
        return False
    scanner: Scanner = import_string(settings.FILE_SCANNER)()
    return scanner.is_infected(file)

"""A fake clamd on loopback, by the command INSTREAM."""

import socket
import struct
import threading


class FakeClamd(threading.Thread):
    """clamd that finds the word `virus`; a verdict waits while `is_free` is not set."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.is_free = threading.Event()
        self.is_free.set()
        self.scans = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.start()

    def run(self) -> None:
        while True:
            client, _ = self._socket.accept()
            threading.Thread(target=self._scan, args=[client], daemon=True).start()

    def _scan(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as read:
            assert read.read(10) == b"zINSTREAM\0"
            content = bytearray()
            # A killed worker sends no end.
            while (head := read.read(4)) and (length := struct.unpack("!I", head)[0]) > 0:
                content += read.read(length)
            self.scans += 1
            self.is_free.wait(60)
            client.sendall(b"stream: Virus FOUND\0" if b"virus" in content else b"stream: OK\0")

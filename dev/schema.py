"""Tells whether a database that was migrated once may have anything left to migrate."""

import hashlib
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent


def schema_fingerprint(*others: str) -> str:
    """Of all that decides the schema: migrations, what they import, the packages' versions."""
    files = sorted([*BASE_DIR.glob("*/*migration*.py"), *BASE_DIR.glob("*/**/*migrations/*.py")])
    settings = BASE_DIR / "gemchat" / "settings.py"  # It says which apps there are.
    digest = hashlib.sha256("\0".join(others).encode())
    for path in [BASE_DIR / "requirements" / "dev.txt", settings, *files]:
        digest.update(f"\0{path.relative_to(BASE_DIR)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]

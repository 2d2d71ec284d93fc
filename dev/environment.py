"""The environment of a development start, and the fingerprint of the schema."""

import hashlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
# Stored in var/secrets: new ones would sign everybody out.
SECRETS = ("SECRET_KEY", "JWT_SECRET", "OTP_SECRET")
DEVELOPMENT = {
    "DEBUG": "true",
    "OTP_ECHO": "true",
    # Celery's warning is for servers; a container may have no user but root.
    "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",
}


def development_environment(given: Mapping[str, str], *, var: Path) -> dict[str, str]:
    """Complete `given` with the variables for development; an empty value counts as unset."""
    folders = {"FILES_ROOT": str(var / "files"), "FILES_TEMP_DIR": str(var / "uploads")}
    defaults = {**DEVELOPMENT, **folders, **_stored_secrets(var / "secrets")}
    unset = {name: value for name, value in defaults.items() if not given.get(name)}
    # Buffered output would appear after the explained lines.
    return {**given, **unset, "PYTHONUNBUFFERED": "1"}


def names_database(environment: Mapping[str, str]) -> bool:
    return bool(environment.get("DATABASE_URL") or environment.get("DB_HOST"))


def names_redis(environment: Mapping[str, str]) -> bool:
    return bool(environment.get("REDIS_URL"))


def write_private(path: Path, text: str) -> None:
    """Write a file, whole or not at all, readable by the owner only."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    unfinished.replace(path)


def schema_fingerprint(*others: str) -> str:
    """Hash all sources of the schema: migrations, their imports, the packages' versions."""
    folders = "[!.]*/**"  # Not .venv.
    patterns = (f"{folders}/*migration*.py", f"{folders}/*migrations/*.py")
    files = sorted({path for pattern in patterns for path in BASE_DIR.glob(pattern)})
    settings = BASE_DIR / "gemchat" / "settings.py"  # The settings list the apps.
    digest = hashlib.sha256("\0".join(others).encode())
    for path in [BASE_DIR / "requirements" / "dev.txt", settings, *files]:
        digest.update(f"\0{path.relative_to(BASE_DIR)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _stored_secrets(path: Path) -> dict[str, str]:
    kept: dict[str, str] = {}
    if path.exists():
        kept = dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)
    missing = {name: secrets.token_urlsafe(48) for name in SECRETS if name not in kept}
    if missing:
        kept |= missing
        write_private(path, "".join(f"{name}={value}\n" for name, value in kept.items()))
    return kept

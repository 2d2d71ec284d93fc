"""The libraries of the web pages are the files that their note names."""

import hashlib
import re

from dev.environment import BASE_DIR

VENDOR = BASE_DIR / "static" / "vendor"


def test_vendored_files_are_those_of_their_packages() -> None:
    note = (VENDOR / "README.md").read_text()
    noted = dict(re.findall(r"^\| (\S+\.js) \|.*\| (\w{64}) \|$", note, re.MULTILINE))

    files = VENDOR.glob("*.js")
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    assert found == noted
    assert len(list(VENDOR.glob("*.LICENSE"))) == len(found)

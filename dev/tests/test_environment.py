"""What a development start fills in, and what it leaves as a person set it."""

from dev.environment import SECRETS, development_environment, write_private


def test_unset_variables_get_development_values(tmp_path):
    environment = development_environment({"DEBUG": ""}, var=tmp_path)

    assert environment["DEBUG"] == "true"
    assert environment["OTP_ECHO"] == "true"


def test_set_variables_stay(tmp_path):
    environment = development_environment(
        {"OTP_ECHO": "false", "JWT_SECRET": "mine", "OTHER": "1"}, var=tmp_path
    )

    assert environment["OTP_ECHO"] == "false"
    assert environment["JWT_SECRET"] == "mine"
    assert environment["OTHER"] == "1"


def test_secrets_last_over_starts(tmp_path):
    first = development_environment({}, var=tmp_path)

    second = development_environment({}, var=tmp_path)

    assert [first[name] for name in SECRETS] == [second[name] for name in SECRETS]
    assert len({first[name] for name in SECRETS}) == len(SECRETS)
    assert all(len(first[name]) >= 32 for name in SECRETS)


def test_secrets_are_readable_by_their_owner_alone(tmp_path):
    development_environment({}, var=tmp_path)

    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o600


def test_private_file_replaces_a_public_one(tmp_path):
    path = tmp_path / "secrets"
    path.write_text("old")
    path.chmod(0o644)

    write_private(path, "new")

    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600

"""The options of every client from a URL of Redis, and refused URLs."""

import pytest
import redis
from django.core.exceptions import ImproperlyConfigured

from gemchat.checks import check_project_settings, refuse_bad_settings
from gemchat.stores.redis import BadRedisUrl, connection_options

PASSWORD = "pa55word"


def options(url: str) -> dict:
    found = connection_options(url)
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://cache", {"host": "cache", "port": 6379, "db": 0}),
        ("redis://cache:6380/3", {"host": "cache", "port": 6380, "db": 3}),
        ("redis://cache/?db=3", {"host": "cache", "port": 6379, "db": 3}),
        (
            "redis://us%40er:p%3Aa%2F%23%3B@[::1]/1",
            {"host": "::1", "port": 6379, "db": 1, "username": "us@er", "password": "p:a/#;"},
        ),
        ("redis://:a,b@cache", {"host": "cache", "port": 6379, "db": 0, "password": "a,b"}),
    ],
)
def test_url_of_a_host_is_read_in_all_its_parts(url, expected):
    assert options(url) == {"connection_class": redis.Connection, **expected}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("unix:///run/redis.sock", {"path": "/run/redis.sock", "db": 0}),
        ("unix:///run/redis.sock?db=2", {"path": "/run/redis.sock", "db": 2}),
        ("unix://:pw@/run/a%20b", {"path": "/run/a b", "db": 0, "password": "pw"}),
    ],
)
def test_url_of_a_socket_is_read_in_all_its_parts(url, expected):
    assert options(url) == {"connection_class": redis.UnixDomainSocketConnection, **expected}


def test_tls_is_verified_unless_settings_say_otherwise(settings):
    verified = options("rediss://cache")
    settings.REDIS_TLS_VERIFY, settings.REDIS_CA_CERTS = False, "/etc/ca.pem"
    unverified = options("rediss://cache")

    assert verified["connection_class"] is redis.SSLConnection
    assert (verified["ssl_cert_reqs"], verified["ssl_check_hostname"]) == ("required", True)
    assert (unverified["ssl_cert_reqs"], unverified["ssl_check_hostname"]) == ("none", False)
    assert unverified["ssl_ca_certs"] == "/etc/ca.pem"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "cache:6379",
        f"http://:{PASSWORD}@cache",
        f"REDISS://:{PASSWORD}@cache",
        f"redis+socket://:{PASSWORD}@/run/redis.sock",
        f"sentinel://:{PASSWORD}@cache",
        f"rediss://:{PASSWORD}@",
        f"rediss://:{PASSWORD}@/0",
        f"rediss://:{PASSWORD}@cache:none/0",
        f"rediss://:{PASSWORD}@cache:0/0",
        f"rediss://:{PASSWORD}@cache:70000",
        f"rediss://:{PASSWORD}@cache/zero",
        f"rediss://:{PASSWORD}@cache/-1",
        f"rediss://:{PASSWORD}@cache/1?db=2",
        f"rediss://:{PASSWORD}@cache/?db=1&db=2",
        f"rediss://:{PASSWORD}@cache/0?ssl_cert_reqs=none",
        f"rediss://:{PASSWORD}@cache/0?protocol=3",
        f"rediss://:{PASSWORD}@one;rediss://:{PASSWORD}@two",
        f"rediss://:{PASSWORD}#more@cache/0",
        f"rediss://:{PASSWORD}/more@cache/0",
        f"rediss://:{PASSWORD}?more@cache/0",
        f"rediss://:{PASSWORD} @cache/0",
        "unix://run/redis.sock",
        "unix:///",
        "unix:///run/redis.sock?virtual_host=2",
    ],
)
def test_url_that_clients_would_read_differently_is_refused(url):
    with pytest.raises(BadRedisUrl) as refused:
        connection_options(url)

    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize("name", ["REDIS_URL", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"])
def test_bad_url_stops_the_start(settings, name):
    setattr(settings, name, f"https://:{PASSWORD}@cache")

    with pytest.raises(ImproperlyConfigured, match=f"^{name}: the URL must begin with") as refused:
        refuse_bad_settings()

    assert PASSWORD not in str(refused.value)


def test_ca_bundle_that_is_none_stops_the_start(settings, tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    settings.REDIS_CA_CERTS = str(tmp_path / "none.pem")
    [missing] = check_project_settings()
    settings.REDIS_CA_CERTS = str(tmp_path / "ca.pem")
    [unreadable] = check_project_settings()

    assert (missing.id, unreadable.id) == ("gemchat.E020", "gemchat.E020")
    assert "there is no file" in missing.msg
    assert "can not be read as certificates" in unreadable.msg

"""docker-compose.yml, as far as a test can check it without an engine."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.environment import BASE_DIR

COMPOSE = (BASE_DIR / "docker-compose.yml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
PROGRAM = ["web", "worker", "beat", "migrate"]
STORES = ["postgres", "redis-queue", "redis-cache"]
REQUIRED_SECRETS = ["SECRET_KEY", "JWT_SECRET", "OTP_SECRET", "POSTGRES_PASSWORD"]


def documented() -> set[str]:
    lines = (BASE_DIR / ".env.example").read_text().splitlines()
    return {match[1] for line in lines if (match := re.match(r"# ([A-Z_]+)=", line))}


def test_services_are_those_of_a_deployment() -> None:
    assert SERVICES.keys() == {"proxy", *PROGRAM, *STORES}


@pytest.mark.parametrize("name", SERVICES)
def test_service_is_confined_and_bounded(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert {"mem_limit", "cpus", "pids_limit"} <= service.keys()
    assert not service.get("privileged")


def test_worker_may_have_all_its_threads(settings: Any) -> None:
    # Besides those that make replies, a few for each store, and the health check's process.
    assert SERVICES["worker"]["pids_limit"] >= settings.WORKER_CONCURRENCY + 100


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"migrate"}))
def test_service_tells_its_health_and_ends_in_its_own_time(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["stop_grace_period"].endswith("s")
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", ["proxy", *STORES])
def test_image_of_others_is_of_a_fixed_version_and_not_roots(name: str) -> None:
    image = SERVICES[name]["image"]

    assert re.search(r":\d+\.\d+", image)
    assert "unprivileged" in image or SERVICES[name]["user"] in ("postgres", "valkey")


def test_stores_are_reached_by_the_program_alone() -> None:
    assert yaml.safe_load(COMPOSE)["networks"]["stores"]["internal"] is True
    assert all(SERVICES[name]["networks"] == ["stores"] for name in STORES)
    assert [name for name, service in SERVICES.items() if service.get("ports")] == ["proxy"]


def test_queue_evicts_nothing_and_the_cache_keeps_nothing() -> None:
    queue, cache = SERVICES["redis-queue"], SERVICES["redis-cache"]
    environment = SERVICES["web"]["environment"]

    assert "--appendonly yes" in queue["command"] and "noeviction" in queue["command"]
    assert "allkeys-lru" in cache["command"] and "volumes" not in cache
    assert "redis-queue" in environment["CELERY_BROKER_URL"]
    assert "redis-cache" in environment["REDIS_URL"]


def test_program_starts_after_its_stores_and_the_migration() -> None:
    for name in ("web", "worker", "beat"):
        waits = {of: each["condition"] for of, each in SERVICES[name]["depends_on"].items()}
        assert waits == {
            **dict.fromkeys(STORES, "service_healthy"),
            "migrate": "service_completed_successfully",
        }
    assert SERVICES["migrate"]["restart"] == "no"


@pytest.mark.parametrize("name", PROGRAM)
def test_every_variable_is_documented(name: str) -> None:
    assert SERVICES[name]["environment"].keys() <= documented()
    assert set(re.findall(r"\$\{(\w+)", COMPOSE)) <= documented()


@pytest.mark.parametrize("name", REQUIRED_SECRETS)
def test_secret_is_asked_for_by_name(name: str) -> None:
    assert f"${{{name}:?{name} is not set}}" in COMPOSE
    assert f"${{{name}}}" not in COMPOSE and f"${{{name}:-" not in COMPOSE


def test_worker_and_web_are_given_the_time_that_they_take_to_end() -> None:
    from messaging.replies.worker import GRACE_SECONDS

    dockerfile = (BASE_DIR / "Dockerfile").read_text()
    graceful = int(re.search(r'"--timeout-graceful-shutdown", "(\d+)"', dockerfile)[1])
    assert int(SERVICES["worker"]["stop_grace_period"][:-1]) > GRACE_SECONDS
    assert int(SERVICES["web"]["stop_grace_period"][:-1]) > graceful


def test_image_holds_no_tests_no_tools_and_no_root() -> None:
    dockerfile = (BASE_DIR / "Dockerfile").read_text()
    ignored = (BASE_DIR / ".dockerignore").read_text().splitlines()

    assert "dev.txt" not in dockerfile
    assert ignored[0] == "*" and "**/tests" in ignored
    assert not {"!dev", "!tests", "!bench", "!.env"} & set(ignored)
    last_stage = dockerfile.rpartition("\nFROM ")[2]
    assert "USER gemchat" in last_stage
    assert all(
        re.search(r"python:\d+\.\d+\.\d+", line) or line.endswith("AS program")
        for line in dockerfile.splitlines()
        if line.startswith("FROM ")
    )


def test_image_is_built_once_and_never_looked_for_elsewhere() -> None:
    assert [name for name, service in SERVICES.items() if "build" in service] == ["migrate"]
    assert {SERVICES[name]["image"] for name in PROGRAM} == {"gemchat"}
    assert {SERVICES[name]["pull_policy"] for name in PROGRAM} == {"never"}


def test_proxy_finds_web_again_when_its_address_changes() -> None:
    nginx = (BASE_DIR / "deploy" / "nginx.conf").read_text()
    [upstream] = re.findall(r"upstream web \{(.*?)\n\}", nginx, re.DOTALL)

    assert "server web:8000 resolve" in upstream
    assert "zone web" in upstream and "resolver 127.0.0.11 valid=2s" in upstream
    assert "resolver_timeout 2s" in upstream
    version = re.search(r":(\d+)\.(\d+)", SERVICES["proxy"]["image"])
    assert (int(version[1]), int(version[2])) >= (1, 28)


def test_proxy_is_healthy_under_any_name() -> None:
    nginx = (BASE_DIR / "deploy" / "nginx.conf").read_text()
    asked = SERVICES["proxy"]["healthcheck"]["test"][-1]

    # The only server that takes a probe; the other is for ALLOWED_HOSTS.
    [server] = re.findall(r"server \{\s+listen 127\.0\.0\.1:8081;.*?\n\}", nginx, re.DOTALL)
    assert asked == "http://127.0.0.1:8081/livez"
    assert "location = /livez" in server and "proxy_pass http://web" in server


def test_proxy_does_not_buffer_streams() -> None:
    nginx = Path(BASE_DIR / "deploy" / "nginx.conf").read_text()
    [streams] = re.findall(r"location ~ (\S+stream\S+) \{(.*?)\}", nginx, re.DOTALL)

    assert "proxy_buffering off" in streams[1]
    for path in ("/api/v1/message/x/stream", "/api/v1/chatroom/x/export/"):
        assert re.search(streams[0], path)
    assert "X-Forwarded-For $proxy_add_x_forwarded_for" in nginx


def test_proxy_limits_each_address_and_lets_a_carrier_in() -> None:
    nginx = (BASE_DIR / "deploy" / "nginx.conf").read_text()
    connections = re.search(r"limit_conn (\w+) (\d+);", nginx)
    requests = re.search(r"limit_req zone=(\w+) burst=(\d+) nodelay;", nginx)

    for zone in (connections[1], requests[1]):
        assert f"_zone $client_network zone={zone}:" in nginx
    assert int(connections[2]) >= 2_000
    assert int(requests[2]) >= 400
    assert nginx.count("_status 429;") == 2
    [answer] = re.findall(r"location @too_many \{(.*?)\n    \}", nginx, re.DOTALL)
    assert "error_page 429 = @too_many" in nginx
    assert "application/problem+json" in answer and "Retry-After" in answer

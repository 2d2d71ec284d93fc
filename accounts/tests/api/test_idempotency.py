"""Idempotency-Key: one request that comes many times is done once."""

from datetime import timedelta

import pytest
from django.db.models import F

from accounts.models import IdempotencyRecord, LimitHit
from tests.support.accounts import keyed_urls
from tests.support.marks import transactional
from tests.support.waiting import at_once, in_background

BOTH = pytest.mark.parametrize("path", ["/rows/local", "/rows/network"])


@pytest.fixture(autouse=True)
def keyed(settings):
    settings.ROOT_URLCONF = keyed_urls.__name__
    keyed_urls.reached.clear()
    keyed_urls.gate.set()
    yield
    keyed_urls.gate.set()


def send(api, path, key="key", **body):
    headers = {} if key is None else {"HTTP_IDEMPOTENCY_KEY": key}
    return api.post(path, {"name": "one", **body}, **headers)


@pytest.mark.django_db
@BOTH
def test_same_request_again_gets_the_same_answer(path, alice_api):
    first = send(alice_api, path)
    again = send(alice_api, path + "/")

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again["Location"] == first["Location"]
    assert again["Content-Type"] == first["Content-Type"] == "application/json"
    assert (first.get("Idempotent-Replayed"), again["Idempotent-Replayed"]) == (None, "true")
    assert LimitHit.objects.count() == 1


@pytest.mark.django_db
@BOTH
def test_request_without_a_key_runs_each_time(path, alice_api):
    send(alice_api, path, None)
    again = send(alice_api, path, None, name="two")

    assert again.status_code == 201
    assert LimitHit.objects.count() == 2
    assert not IdempotencyRecord.objects.exists()


@pytest.mark.django_db
@BOTH
def test_key_of_another_body_is_refused(path, alice_api):
    send(alice_api, path)

    other = send(alice_api, path, name="two")

    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert LimitHit.objects.count() == 1


@pytest.mark.django_db
def test_key_of_another_path_is_refused(alice_api):
    send(alice_api, "/rows/local")

    assert send(alice_api, "/rows/network").json()["code"] == "idempotency_key_reused"


@pytest.mark.django_db
@BOTH
def test_key_is_its_users_own(path, alice_api, bob_api):
    send(alice_api, path)

    strangers = send(bob_api, path, name="two")

    assert (strangers.status_code, strangers.json()["name"]) == (201, "two")


@pytest.mark.django_db
@BOTH
@pytest.mark.parametrize("key", ["", "x" * 256, "é", "a\nb", "a\x7f"], ids=ascii)
def test_odd_key_is_refused(path, alice_api, key):
    answer = send(alice_api, path, key)

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_invalid")
    assert not LimitHit.objects.exists()


@pytest.mark.django_db
@BOTH
def test_longest_key_is_taken(path, alice_api):
    assert send(alice_api, path, "~" * 255).status_code == 201


@transactional
def test_failure_is_undone_and_may_be_tried_again(alice_api):
    failed = send(alice_api, "/rows/local", fail=True)
    assert (failed.status_code, LimitHit.objects.count()) == (422, 0)

    again = send(alice_api, "/rows/local")

    assert (again.status_code, LimitHit.objects.count()) == (201, 1)


@transactional
def test_failing_answer_is_undone_and_not_kept(alice_api):
    failed = send(alice_api, "/rows/local", status=409)

    assert failed.status_code == 409
    assert not LimitHit.objects.exists()
    assert not IdempotencyRecord.objects.exists()


@transactional
@pytest.mark.parametrize("fault", [{"fail": True}, {"status": 503}])
def test_failure_over_the_network_frees_the_key(alice_api, fault):
    send(alice_api, "/rows/network", **fault)

    assert not IdempotencyRecord.objects.exists()
    assert send(alice_api, "/rows/network", name="two").status_code == 201


@transactional
@BOTH
def test_ten_requests_at_once_are_done_once(path, alice_api):
    answers = at_once(10, lambda: send(alice_api, path))

    codes = [answer.status_code for answer in answers]
    assert set(codes) <= {201, 409}
    assert 201 in codes
    assert LimitHit.objects.count() == 1


@transactional
@BOTH
def test_request_under_way_is_told_apart(path, alice_api):
    keyed_urls.gate.clear()
    first = in_background(lambda: send(alice_api, path))
    assert keyed_urls.reached.wait(10)
    meanwhile = send(alice_api, path)
    keyed_urls.gate.set()

    assert (meanwhile.status_code, meanwhile.json()["code"]) == (409, "idempotency_in_progress")
    assert "Retry-After" in meanwhile
    assert first.result(10).status_code == 201
    assert send(alice_api, path)["Idempotent-Replayed"] == "true"


@transactional
def test_no_transaction_is_held_over_the_network(alice_api):
    keyed_urls.gate.clear()

    first = in_background(lambda: send(alice_api, "/rows/network"))
    assert keyed_urls.reached.wait(10)
    seen = LimitHit.objects.count(), IdempotencyRecord.objects.get().status
    keyed_urls.gate.set()
    first.result(10)

    assert seen == (1, None)


@transactional
def test_claim_whose_holder_died_is_taken_over(alice, alice_api):
    send(alice_api, "/rows/network")
    IdempotencyRecord.objects.update(
        status=None, lease_until=F("created_at") - timedelta(seconds=1)
    )
    LimitHit.objects.all().delete()

    again = send(alice_api, "/rows/network")

    assert (again.status_code, LimitHit.objects.count()) == (201, 1)
    assert send(alice_api, "/rows/network")["Idempotent-Replayed"] == "true"


@pytest.mark.django_db
@BOTH
def test_answer_is_forgotten_after_a_day(path, alice_api):
    send(alice_api, path)
    IdempotencyRecord.objects.update(created_at=F("created_at") - timedelta(hours=24))

    again = send(alice_api, path, name="two")

    assert (again.status_code, again.json()["name"]) == (201, "two")


@pytest.mark.django_db
def test_key_costs_two_queries_and_a_transaction(alice_api, django_assert_num_queries):
    with django_assert_num_queries(2):  # the session, the row
        send(alice_api, "/rows/local", None)
    with django_assert_num_queries(6):  # and lock with lookup, the record, a savepoint's two
        send(alice_api, "/rows/local", name="two")
    with django_assert_num_queries(4):
        send(alice_api, "/rows/local", name="two")

"""The heartbeat of a worker names the queues that the worker serves."""

import os
import subprocess
import sys

import redis

from dev.environment import BASE_DIR
from tests.support.stack.start import DEVELOPMENT
from tests.support.waiting import eventually


def test_worker_of_another_queue_is_no_worker_of_replies(stack_stores: dict[str, str]) -> None:
    command = ["celery", "--app=gemchat", "--quiet", "worker", "--queues=default"]
    options = ["--pool=threads", "--concurrency=1", "--without-gossip", "--without-mingle"]
    store = redis.Redis.from_url(stack_stores["REDIS_URL"], decode_responses=True)
    store.flushdb()
    worker = subprocess.Popen(
        [sys.executable, "-m", *command, *options],
        cwd=BASE_DIR,
        env={**os.environ, **stack_stores, **DEVELOPMENT},
    )
    try:
        found = eventually(lambda: store.keys("worker:*"), seconds=60)
    finally:
        worker.terminate()
        worker.wait(60)

    assert found == ["worker:default:alive"]

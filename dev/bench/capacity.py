"""Replies a second, CPU and memory of a worker process, beside the bare SDK."""

import importlib.util
import os
import signal
import time
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

from dev.bench.first_token import CHUNK_SECONDS, CHUNKS, MODEL
from dev.bench.support.people import PROMPT
from dev.bench.support.program import STANDARD, Program, Worker
from dev.bench.support.table import Row
from dev.bench.support.usage import cpu_seconds, resident_bytes
from tests.support.fakes.gemini import Answer

# One second to the first token, then 200 tokens at 100 a second, in 25 chunks: 3 s a reply.
ANSWER = Answer(first_delay=1.0, chunks=CHUNKS, chunk_delay=CHUNK_SECONDS)
REPLY_SECONDS = 3.0
TOOK = """
    SELECT extract(epoch FROM max(ended_at) - min(started_at)), count(*),
        count(*) FILTER (WHERE status = 'complete')
    FROM messaging_message WHERE id = ANY(%s)
"""
OTHERS = """
    SELECT status, error_code, count(*) FROM messaging_message
    WHERE id = ANY(%s) AND status <> 'complete' GROUP BY 1, 2
"""

PREFORK = Worker("prefork", 2)
THREADS = STANDARD
KINDS = [PREFORK, Worker("threads", 100), THREADS]
if importlib.util.find_spec("gevent"):
    # Not in the requirements: measured only where installed.
    KINDS.append(Worker("gevent", 100))
SDK_LOOP, SDK_THREADS = "bare SDK, one stream after another", "bare SDK, 100 threads"


def measure(
    program: Program, *, rounds: int, waves: Mapping[str, int], kinds: list[Worker]
) -> list[Row]:
    """Measure each kind; `waves` is the replies of a pool's slot, by the pool's name."""
    program.answer_with(ANSWER)
    figures: dict[str, list[float]] = defaultdict(list)
    for number in range(rounds):
        for kind in kinds if number % 2 else reversed(kinds):
            for what, figure in load(program, kind, waves[kind.pool]).items():
                figures[f"{kind} {what}"].append(figure)
        loop, threads = waves["sdk loop"], 100 * waves["sdk threads"]
        figures[SDK_LOOP].append(bare_sdk_cpu(program, replies=loop, threads=1))
        figures[SDK_THREADS].append(bare_sdk_cpu(program, replies=threads, threads=100))
    return rows(figures, kinds)


def load(program: Program, kind: Worker, waves: int) -> dict[str, float]:
    """Queue replies for `waves` of the worker's pool during a hold, then release the pool."""
    rooms = program.rooms(kind.concurrency * waves)
    with program.worker(kind) as pid:
        os.killpg(pid, signal.SIGSTOP)
        sent = program.send(rooms)
        before = cpu_seconds(pid)
        os.killpg(pid, signal.SIGCONT)
        most_bytes = 0
        deadline = time.monotonic() + 3 * REPLY_SECONDS * waves + 60
        while program.replies_under_way():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{kind}: {program.replies_under_way()} replies have not ended")
            most_bytes = max(most_bytes, resident_bytes(pid))
            time.sleep(0.25)
        used = cpu_seconds(pid) - before
    ids = [each.reply_id for each in sent]
    took, replies, complete = program.database.execute(TOOK, [ids]).fetchone() or (0, 0, 0)
    if complete != len(sent):
        others = program.database.execute(OTHERS, [ids]).fetchall()
        raise RuntimeError(f"{kind}: {complete} of {len(sent)} replies are complete, not {others}")
    return {
        "rate": replies / float(took),
        "cpu": 1000 * used / replies,
        "memory": most_bytes / 2**20,
    }


def bare_sdk_cpu(program: Program, *, replies: int, threads: int) -> float:
    """Measure milliseconds of CPU a reply, in a separate process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        used = process.submit(read_streams, program.gemini_url, replies, threads).result()
    return 1000 * used / replies


def read_streams(url: str, replies: int, threads: int) -> float:
    """Measure seconds of CPU to read replies by Google's SDK alone, warmed up."""
    from google import genai  # Costs 50 MB, so the measuring process has no import of the module.

    client = genai.Client(api_key="bench", http_options={"base_url": url})

    def read(_: int) -> str:
        stream = client.models.generate_content_stream(model=MODEL, contents=PROMPT)
        return "".join(chunk.text or "" for chunk in stream)

    read(0)
    before = time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        texts = set(pool.map(read, range(replies)))
    used = time.process_time() - before
    if texts != {"".join(CHUNKS)}:
        raise RuntimeError("the SDK read another text than the fake sent")
    return used


def rows(figures: dict[str, list[float]], kinds: list[Worker]) -> list[Row]:
    def compared(kind: Worker, what: str, label: str, unit: str) -> Row:
        own, others = figures[f"{kind} {what}"], figures[f"{PREFORK} {what}"]
        if kind == PREFORK or not others:
            return Row(f"{label}, {kind}", unit, own)
        return Row.compared(f"{label}, {kind}", unit, own, str(PREFORK), others)

    def beside_sdk(kind: Worker, sdk: str) -> Row:
        what = f"CPU a reply of 25 chunks, {kind}"
        return Row.compared(what, "ms", figures[f"{kind} cpu"], sdk, figures[sdk])

    measured = {"rate": ("replies a second", "/s"), "cpu": ("CPU a reply", "ms")}
    measured["memory"] = ("memory under load", "MB")
    return [
        *(compared(kind, what, *labels) for what, labels in measured.items() for kind in kinds),
        *(Row(f"CPU a reply of 25 chunks, {sdk}", "ms", figures[sdk]) for sdk in SDKS),
        *(beside_sdk(THREADS, sdk) for sdk in SDKS if THREADS in kinds),
    ]


SDKS = [SDK_LOOP, SDK_THREADS]

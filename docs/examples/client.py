"""Sign in, ask, and print the answer as it is written, over whatever breaks on the way.

python docs/examples/client.py http://127.0.0.1:8000 +919812345678 "Why is the sky blue?"
"""

import json
import sys
import time
import uuid

import httpx

url, mobile, prompt = sys.argv[1:]
api = httpx.Client(base_url=f"{url}/api/v1/", timeout=40)


def post(path: str, **body: str) -> dict:
    return api.post(path, json=body).raise_for_status().json()


sent = post("auth/send-otp", mobile=mobile)["data"]
otp = sent.get("otp") or input("The code that was texted to you: ")
token = post("auth/verify-otp", mobile=mobile, otp=otp)["access_token"]
api.headers["Authorization"] = f"Bearer {token}"
room = post("chatroom/")
api.headers["Idempotency-Key"] = str(uuid.uuid4())  # What is sent again with it is done once.
reply = post(f"message/chatroom/{room['id']}/message", prompt=prompt)["data"]["reply"]

fields = {"event": ""}
while fields["event"] not in ("reply.completed", "reply.failed", "reply.stopped"):
    try:
        with api.stream("GET", f"message/{reply['id']}/stream") as answer:
            for line in answer.raise_for_status().iter_lines():
                name, _, fields[name] = line.partition(": ")
                if name == "data":
                    print(json.loads(fields["data"]).get("text", ""), end="", flush=True)
                    api.headers["Last-Event-ID"] = fields["id"]  # The stream is resumed after it.
    except httpx.TransportError:
        time.sleep(0.3)
print("" if fields["event"] == "reply.completed" else f"\n[{fields['event']}]")

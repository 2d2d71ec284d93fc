"""The text of `make run` once web answers: addresses, and the first calls to paste."""

from dev.servers.stack import Stack

# A number reserved for fiction, like the staff's in dev/prepare.py.
SAMPLE_MOBILE = "+12025550123"

FLOW = r"""api=@URL@/api/v1
json='Content-Type: application/json'
mobile=@MOBILE@
curl -sS "$api/auth/signup" -H "$json" -d "{\"mobile\": \"$mobile\"}"; echo
otp=$(curl -sS "$api/auth/send-otp" -H "$json" -d "{\"mobile\": \"$mobile\"}" |
  sed -n 's/.*"otp": *"\([0-9]*\)".*/\1/p')
token=$(curl -sS "$api/auth/verify-otp" -H "$json" \
  -d "{\"mobile\": \"$mobile\", \"otp\": \"$otp\"}" |
  sed -n 's/.*"access_token": *"\([^"]*\)".*/\1/p')
bearer="Authorization: Bearer $token"
room=$(curl -sS "$api/chatroom/" -H "$bearer" -H "$json" -d '{"title": "First steps"}' |
  sed -n 's/^{"id": *"\([^"]*\)".*/\1/p')
reply=$(curl -sS "$api/message/chatroom/$room/message" -H "$bearer" -H "$json" \
  -d '{"prompt": "Why is the sky blue?"}' | sed -n 's/.*"reply": *{"id": *"\([^"]*\)".*/\1/p')
curl -sS "$api/message/$reply?wait=30" -H "$bearer"; echo
curl -sS "$api/chatroom/$room" -H "$bearer"; echo
"""


def startup_banner(stack: Stack, *, started_in_seconds: float) -> str:
    prepared = stack.prepared
    lines = [
        "",
        f"GemChatRoom is up after {started_in_seconds:.1f} s. Ctrl-C ends it.",
        "",
        f"  Pages   {stack.url}/   (any mobile number; the code is filled in)",
        f"  API     {stack.url}/api/v1/",
        f"  Docs    {stack.url}/docs",
        f"  Admin   {stack.url}/admin/   {_staff(stack)}",
        f"  Gemini  {_gemini(prepared['gemini_backend'], prepared['gemini_model'])}",
        f"  Data    {stack.var}",
        "",
        "A first conversation, to paste into another terminal:",
        "",
        flow(stack.url),
    ]
    return "\n".join(lines)


def flow(url: str) -> str:
    """Build shell lines from sign-up to the first answer, for curl and sed."""
    return FLOW.replace("@URL@", url).replace("@MOBILE@", SAMPLE_MOBILE)


def _staff(stack: Stack) -> str:
    staff = stack.prepared["staff"]
    if staff is None:
        return "(the database has its own staff)"
    if staff["is_new"]:
        return f"mobile {staff['mobile']}, password {staff['password']}"
    return f"mobile {staff['mobile']}, password in {stack.var / 'staff.json'}"


def _gemini(backend: str, model: str) -> str:
    if backend.endswith("offline.Backend"):
        return f"{backend} (no GOOGLE_API_KEY: answers are samples made here)"
    return f"{backend}, model {model}"

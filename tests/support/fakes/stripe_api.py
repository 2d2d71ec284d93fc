"""A fake Stripe: a real HTTP server on loopback that keeps state as Stripe does.

    with FakeStripe() as stripe_api:
        price = stripe_api.add_price("price_pro")
        ...                                        # the program makes a Checkout session
        subscription = stripe_api.pay(session_id)  # what a person does on Stripe's page
        for event in stripe_api.events:            # in whatever order, however often
            body, headers = signed(event, secret)

What people and Stripe itself do are methods; each notes the events that Stripe would send, and
`on_event` is called with them. From a terminal, with events delivered at once:

    python -m tests.support.fakes.stripe_api --port 8998 --webhook URL --secret whsec_...

Its Checkout page and portal then have a button each, and POST /_control/<method> takes the
arguments of a method as JSON.
"""

import argparse
import copy
import hashlib
import json
import re
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any

from tests.support.fakes import stripe_objects as objects
from tests.support.fakes.stripe_actions import ENDED, StripeActions
from tests.support.fakes.stripe_objects import Object
from tests.support.fakes.stripe_permissions import check_permission
from tests.support.fakes.stripe_wire import Refusal, Request, handler_for, public, signed

# The path of each kind of object, with its maker and the prefix of its ids.
KINDS: dict[str, tuple[str, Callable[..., Object]]] = {
    "customers": ("cus", objects.customer),
    "products": ("prod", objects.product),
    "prices": ("price", objects.price),
    "checkout/sessions": ("cs_test", objects.checkout_session),
    "subscriptions": ("sub", objects.subscription),
    "subscription_schedules": ("sub_sched", objects.subscription_schedule),
    "billing_portal/sessions": ("bps", objects.portal_session),
    "billing_portal/configurations": ("bpc", objects.portal_configuration),
    "webhook_endpoints": ("we", objects.webhook_endpoint),
    "charges": ("ch", objects.charge),
    "disputes": ("dp", objects.dispute),
    "payment_intents": ("pi", objects.payment_intent),
    "payment_methods": ("pm", objects.payment_method),
    "balance_transactions": ("txn", objects.balance_transaction),
}
PATH = re.compile(
    rf"/v1/(?P<kind>{'|'.join(KINDS)})(/(?P<id>[^/]+))?(/(?P<verb>expire|features|release|cancel))?$"
)
# Of a subscription under a schedule, only the schedule may change these.
CANCELLATION = {"cancel_at_period_end", "cancel_at"}


@dataclass
class Fault:
    """What goes wrong with the next requests: of `method`, to a path that begins so."""

    method: str
    path: str
    times: int = 1
    status: int = 0  # answered instead of carrying the request out
    delay: float = 0.0  # seconds before the answer is sent, after it was made
    drop: bool = False  # carried out, and the connection closed without an answer
    gate: threading.Event | None = None  # the answer, made at once, waits for this

    def fits(self, request: Request) -> bool:
        return self.method == request.method and request.path.startswith(self.path)


@dataclass
class Held:
    """A request whose answer is made and not sent yet."""

    arrived: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)


class FakeStripe(StripeActions):
    def __init__(self, port: int = 0, secret_key: str = "") -> None:
        self.objects: dict[str, dict[str, Object]] = {kind: {} for kind in KINDS}
        self.events: list[Object] = []
        self.requests: list[Request] = []
        self.on_event: Callable[[Object], None] = lambda event: None
        self.secret_key = secret_key
        # Of a restricted key, as `subscription_write`; to write is also to read.
        self.permissions: set[str] = set()
        self._answers: dict[str, tuple[str, int, Object] | None] = {}
        self._faults: list[Fault] = []
        self._held: dict[int, Held] = {}
        self._count = 0
        self._lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler_for(self))
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "FakeStripe":
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        for held in self._held.values():
            held.release.set()
        self._server.shutdown()
        self._server.server_close()

    # What people and Stripe do.

    def add_price(self, price_id: str, **fields: Any) -> Object:
        product = self._add("products", id=f"prod_of_{price_id}")
        return self._add("prices", id=price_id, product=product["id"], **fields)

    def fail(self, method: str, path: str, **fault: Any) -> None:
        """The next request of that method to a path that begins so fails; see Fault."""
        with self._lock:
            self._faults.append(Fault(method, path, **fault))

    @contextmanager
    def hold(self, method: str, path: str) -> Iterator[Held]:
        """Hold the next such request's answer, made at once, until the release."""
        held = Held()
        fault = Fault(method, path, gate=held.release)
        with self._lock:
            self._held[id(fault)] = held
            self._faults.append(fault)
        try:
            yield held
        finally:
            held.release.set()

    # The API itself.

    def answer(self, request: Request, key: str) -> tuple[int, Object, Fault | None]:
        with self._lock:
            self.requests.append(request)
            fault = self._take_fault(request)
            if fault and fault.status:
                refusal = Refusal(fault.status, "A fault was asked for.", type="api_error")
                return fault.status, refusal.body, fault
            if not key.startswith(("sk_", "rk_")) or (self.secret_key and key != self.secret_key):
                refusal = Refusal(401, "Invalid API Key provided.")
                return 401, refusal.body, fault
            try:
                if key.startswith("rk_"):
                    check_permission(request, key, self.permissions)
                status, body = self._once(request)
            except Refusal as refusal:
                status, body = refusal.status, refusal.body
            return status, public(body), fault

    def _take_fault(self, request: Request) -> Fault | None:
        for fault in self._faults:
            if fault.fits(request):
                fault.times -= 1
                if fault.times <= 0:
                    self._faults.remove(fault)
                if id(fault) in self._held:
                    self._held[id(fault)].arrived.set()
                return fault
        return None

    def _once(self, request: Request) -> tuple[int, Object]:
        """A POST with a known key is answered as the first was: docs.stripe.com/api/idempotency."""
        key = request.idempotency_key
        if request.method != "POST" or key is None:
            return 200, self._carry_out(request)
        digest = json.dumps([request.path, request.params], sort_keys=True)
        known = self._answers.get(key)
        if known is not None:
            if known[0] != digest:
                raise Refusal(
                    400,
                    "Keys for idempotent requests can only be used with the same parameters"
                    " they were first used with.",
                    type="idempotency_error",
                )
            return known[1], known[2]
        body = copy.deepcopy(self._carry_out(request))
        self._answers[key] = (digest, 200, body)
        return 200, body

    def _carry_out(self, request: Request) -> Object:
        if request.path == "/v1/account":
            return objects.account()
        found = PATH.match(request.path)
        if found is None:
            raise Refusal(404, f"Unrecognized request URL ({request.method}: {request.path}).")
        kind, object_id, verb = found["kind"], found["id"], found["verb"]
        params = copy.deepcopy(request.params)
        if verb == "features":
            return objects.listing([], url=request.path)
        if verb == "expire":
            return self._expire(object_id)
        if verb in ("release", "cancel"):
            return self.end_schedule(object_id, verb)
        if object_id is None:
            return self._list(kind, params) if request.method == "GET" else self._make(kind, params)
        existing = self._get(kind, object_id)
        if request.method == "POST":
            return self._update(kind, existing, params)
        if request.method == "DELETE":
            return self._delete(kind, existing)
        if "balance_transaction" in params.get("expand", []):
            return existing | {
                "balance_transaction": self._get(
                    "balance_transactions", existing["balance_transaction"]
                )
            }
        return existing

    def _make(self, kind: str, params: dict[str, Any]) -> Object:
        if kind == "checkout/sessions":
            return self._make_session(params)
        if kind == "billing_portal/sessions":
            self._active_customer(params["customer"])
            portal_id = self._new_id("bps")
            return self._add(
                kind, id=portal_id, **params, url=f"{self.url}/p/session/{params['customer']}"
            )
        if kind == "prices" and "product_data" in params:
            params["product"] = self._add("products", **params.pop("product_data"))["id"]
        if kind == "webhook_endpoints":
            made = self._add(kind, **params)
            # Stripe gives this once, and never again.
            return made | {"secret": f"whsec_{hashlib.sha256(made['id'].encode()).hexdigest()}"}
        made = self._add(kind, **params)
        if kind == "customers":
            self._note("customer.created", made)
        return made

    def _make_session(self, params: dict[str, Any]) -> Object:
        self._active_customer(params["customer"])
        price = self.objects["prices"].get(params["line_items"][0]["price"])
        if price is None:
            raise _missing("price", params["line_items"][0]["price"], "line_items[0][price]")
        if not price["active"]:
            raise Refusal(400, "The price specified is inactive.", param="line_items[0][price]")
        subscription_metadata = params.pop("subscription_data", {}).get("metadata", {})
        lines = params.pop("line_items")
        session_id = self._new_id("cs_test")
        return self._add(
            "checkout/sessions",
            id=session_id,
            **params,
            url=f"{self.url}/c/pay/{session_id}",
            _line_items=lines,
            _subscription_metadata=subscription_metadata,
        )

    def _expire(self, session_id: str) -> Object:
        session = self._get("checkout/sessions", session_id)
        if session["status"] != "open":
            raise Refusal(400, "Only Checkout Sessions with a status of open can be expired.")
        session |= {"status": "expired", "url": None}
        self._note("checkout.session.expired", session)
        return session

    def _update(self, kind: str, existing: Object, params: dict[str, Any]) -> Object:
        if kind != "subscriptions":
            existing |= params
            return existing
        if existing["status"] in ENDED:
            raise Refusal(400, "A canceled subscription can only update its metadata.")
        if existing["schedule"] and CANCELLATION & params.keys():
            raise Refusal(
                400,
                "The subscription is managed by the subscription schedule"
                f" `{existing['schedule']}`, and updating any cancelation behavior directly is not"
                " allowed. Please update the schedule instead.",
            )
        if "cancel_at_period_end" in params:
            ends = params["cancel_at_period_end"] == "true"
            period_end = existing["items"]["data"][0]["current_period_end"]
            return self.change(
                existing["id"],
                cancel_at_period_end=ends,
                cancel_at=period_end if ends else None,
                canceled_at=objects.now() if ends else None,
            )
        if params.get("cancel_at") == "":
            return self.change(existing["id"], cancel_at=None, canceled_at=None)
        return self.change(existing["id"], **params)

    def _delete(self, kind: str, existing: Object) -> Object:
        if kind == "customers":
            if existing.get("deleted"):
                raise _missing("customer", existing["id"], "id")
            return self.delete_customer(existing["id"])
        if kind == "subscriptions":
            if existing["status"] in ENDED:
                raise _missing("subscription", existing["id"], "id")
            return self.change(existing["id"], status="canceled")
        del self.objects[kind][existing["id"]]
        return {"id": existing["id"], "object": existing["object"], "deleted": True}

    def _list(self, kind: str, params: dict[str, Any]) -> Object:
        found = list(reversed(self.objects[kind].values()))
        for name in ("customer", "product", "url", "active", "lookup_keys"):
            if name in params:
                wanted = params[name]
                found = [each for each in found if _fits(each, name, wanted)]
        status = params.get("status")
        if kind == "subscriptions":
            hidden = () if status == "all" else ("canceled",)
            found = [each for each in found if each["status"] not in hidden]
        after = params.get("starting_after")
        if after:
            ids = [each["id"] for each in found]
            found = found[ids.index(after) + 1 :]
        limit = int(params.get("limit", 10))
        return objects.listing(found[:limit], url=f"/v1/{kind}", has_more=len(found) > limit)

    def _active_customer(self, customer_id: str) -> Object:
        customer = self._get("customers", customer_id)
        if customer.get("deleted"):
            raise _missing("customer", customer_id, "customer")
        return customer

    def _get(self, kind: str, object_id: str) -> Object:
        try:
            return self.objects[kind][object_id]
        except KeyError:
            raise _missing(kind.rstrip("s"), object_id, "id") from None

    def _add(self, kind: str, **fields: Any) -> Object:
        prefix, make = KINDS[kind]
        with self._lock:
            fields.setdefault("id", self._new_id(prefix))
            made = make(**fields)
            self.objects[kind][made["id"]] = made
        return made

    def _note(self, kind: str, about: Object) -> None:
        event = objects.event(kind=kind, about=public(about), id=self._new_id("evt"))
        self.events.append(event)
        self.on_event(event)

    def _new_id(self, prefix: str) -> str:
        with self._lock:
            self._count += 1
            return f"{prefix}_Fake{self._count:010d}"


def _missing(name: str, object_id: str, param: str) -> Refusal:
    return Refusal(404, f"No such {name}: '{object_id}'", code="resource_missing", param=param)


def _fits(each: Object, name: str, wanted: Any) -> bool:
    if name == "lookup_keys":
        return each.get("lookup_key") in wanted
    if isinstance(each.get(name), bool):
        return each[name] == (wanted == "true")
    return each.get(name) == wanted


def main() -> None:
    parser = argparse.ArgumentParser(description="A fake Stripe on loopback.")
    parser.add_argument("--port", type=int, default=8998)
    parser.add_argument("--price", default="price_pro", help="the id of the price that it has")
    parser.add_argument("--webhook", default="", help="where events are delivered at once")
    parser.add_argument("--secret", default="whsec_fake", help="what signs them")
    options = parser.parse_args()

    def deliver(event: Object) -> None:
        body, headers = signed(event, options.secret)
        delivery = urllib.request.Request(options.webhook, body, headers, method="POST")  # noqa: S310
        try:
            with urllib.request.urlopen(delivery, timeout=20) as answer:  # noqa: S310
                print(event["type"], answer.status, flush=True)
        except OSError as error:
            print(event["type"], error, flush=True)

    fake = FakeStripe(port=options.port)
    fake.add_price(options.price)
    if options.webhook:
        # In a thread: the receiver of the event asks back before the answer.
        fake.on_event = lambda event: threading.Thread(target=deliver, args=[event]).start()
    with fake:
        print(f"A fake Stripe is at {fake.url}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()

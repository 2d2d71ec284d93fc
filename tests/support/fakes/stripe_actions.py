"""What people do at Stripe, and what Stripe does by itself: part of `FakeStripe`."""

from typing import Any

from tests.support.fakes import stripe_objects as objects
from tests.support.fakes.stripe_objects import Object
from tests.support.fakes.stripe_wire import Refusal

ENDED = ("canceled", "incomplete_expired")


class StripeActions:
    """Each action changes objects of the fake, and notes the events that Stripe would send."""

    objects: dict[str, dict[str, Object]]
    _lock: Any
    _get: Any
    _add: Any
    _note: Any
    _new_id: Any

    def pay(self, session_id: str, *, status: str = "active") -> Object:
        """The person fills the Checkout page in; returns the new subscription."""
        with self._lock:
            session = self._get("checkout/sessions", session_id)
            if session["status"] != "open":
                raise Refusal(400, "This page has expired.")
            subscription = self.subscribe(
                session["customer"],
                session["_line_items"][0]["price"],
                status=status,
                metadata=session["_subscription_metadata"],
            )
            session |= {
                "status": "complete",
                "payment_status": "paid",
                "subscription": subscription["id"],
                "url": None,
            }
            self._note("checkout.session.completed", session)
        return subscription

    def subscribe(
        self, customer_id: str, price_id: str, *, status: str = "active", **fields: Any
    ) -> Object:
        with self._lock:
            subscription_id = self._new_id("sub")
            item = objects.subscription_item(
                price=self._get("prices", price_id),
                id=self._new_id("si"),
                subscription=subscription_id,
            )
            items = objects.listing([item], url=f"/v1/subscription_items?{subscription_id}")
            subscription = self._add(
                "subscriptions",
                id=subscription_id,
                customer=customer_id,
                status=status,
                items=items,
                **fields,
            )
            self._note("customer.subscription.created", subscription)
        return subscription

    def schedule(self, subscription_id: str) -> Object:
        """Staff plan a change in the dashboard: a schedule manages the subscription now."""
        with self._lock:
            subscription = self._get("subscriptions", subscription_id)
            schedule = self._add(
                "subscription_schedules",
                customer=subscription["customer"],
                subscription=subscription_id,
            )
            self.change(subscription_id, schedule=schedule["id"])
        return schedule

    def end_schedule(self, schedule_id: str, verb: str) -> Object:
        """Release the subscription, or cancel the subscription too, at once."""
        schedule = self._get("subscription_schedules", schedule_id)
        if schedule["status"] not in ("not_started", "active"):
            raise Refusal(
                400,
                f"You cannot {verb} a subscription schedule that is currently in the"
                f" `{schedule['status']}` status. It must be in `not_started, active` status to be"
                f" {verb}{'d' if verb == 'release' else 'ed'}.",
            )
        subscription_id = schedule["subscription"]
        subscription = self.objects["subscriptions"][subscription_id]
        subscription["schedule"] = None
        if verb == "release":
            schedule |= {
                "status": "released",
                "released_at": objects.now(),
                "released_subscription": subscription_id,
                "subscription": None,
                "current_phase": None,
            }
            self.change(subscription_id)
        else:
            schedule |= {"status": "canceled", "canceled_at": objects.now(), "current_phase": None}
            self.change(subscription_id, status="canceled")
        return schedule

    def change(self, subscription_id: str, **fields: Any) -> Object:
        """Any change of a subscription, as of its status or of `cancel_at`."""
        with self._lock:
            subscription = self._get("subscriptions", subscription_id)
            subscription |= fields
            over = subscription["status"] in ENDED
            if over:
                subscription |= {"ended_at": objects.now(), "cancel_at_period_end": False}
                subscription["canceled_at"] = subscription["canceled_at"] or objects.now()
            self._note(f"customer.subscription.{'deleted' if over else 'updated'}", subscription)
        return subscription

    def change_price(self, subscription_id: str, price_id: str) -> Object:
        """The person takes another plan: the old item goes, a new one comes."""
        with self._lock:
            subscription = self._get("subscriptions", subscription_id)
            item = objects.subscription_item(
                price=self._get("prices", price_id),
                id=self._new_id("si"),
                subscription=subscription_id,
            )
            subscription["items"]["data"] = [item]
            return self.change(subscription_id)

    def cancel_in_portal(self, customer_id: str) -> None:
        """The person ends all subscriptions with what is paid for."""
        with self._lock:
            for subscription in self.objects["subscriptions"].values():
                if subscription["customer"] == customer_id and subscription["status"] not in ENDED:
                    self.change(subscription["id"], cancel_at_period_end=True)

    def delete_customer(self, customer_id: str) -> Object:
        with self._lock:
            customer = self._get("customers", customer_id)
            for subscription in self.objects["subscriptions"].values():
                if subscription["customer"] == customer_id and subscription["status"] not in ENDED:
                    self.change(subscription["id"], status="canceled")
            for session in self.objects["checkout/sessions"].values():
                if session["customer"] == customer_id and session["status"] == "open":
                    session |= {"status": "expired", "url": None}
            self._note("customer.deleted", customer)
            gone = {"id": customer_id, "object": "customer", "deleted": True}
            self.objects["customers"][customer_id] = gone
        return gone

    def charge(self, customer_id: str) -> Object:
        """A payment that has gone through, as a subscription's is each month."""
        with self._lock:
            method = self._add("payment_methods", customer=customer_id)
            intent = self._add("payment_intents", customer=customer_id, payment_method=method["id"])
            charge = self._add(
                "charges",
                customer=customer_id,
                payment_intent=intent["id"],
                payment_method=method["id"],
            )
            paid = self._add("balance_transactions", source=charge["id"])
            charge["balance_transaction"] = paid["id"]
            intent["latest_charge"] = charge["id"]
        return charge

    def refund(self, charge_id: str, *, amount: int | None = None) -> Object:
        """Pay back all, or a part."""
        with self._lock:
            charge = self._get("charges", charge_id)
            refunded = charge["amount_refunded"] + amount if amount else charge["amount"]
            charge |= {"refunded": refunded == charge["amount"], "amount_refunded": refunded}
            self._note("charge.refunded", charge)
        return charge

    def dispute(self, charge_id: str) -> Object:
        with self._lock:
            charge = self._get("charges", charge_id)
            dispute = self._add(
                "disputes", charge=charge_id, payment_intent=charge["payment_intent"]
            )
            charge["disputed"] = True
            self._note("charge.dispute.created", dispute)
        return dispute

    def change_dispute(self, dispute_id: str, *, kind: str = "updated", **fields: Any) -> Object:
        with self._lock:
            dispute = self._get("disputes", dispute_id)
            dispute |= fields
            self._note(f"charge.dispute.{kind}", dispute)
        return dispute

    # What goes wrong.

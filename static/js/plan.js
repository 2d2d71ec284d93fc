// Quota and tier, and the ways to Pro and back. What is paid is Stripe's business, on its own pages.

import { get, post } from "./api.js";
import { attempt, byId, confirmed, day, fail, say, time, toggle } from "./page.js";
import { SignedOut } from "./session.js";

const STATUS = "/subscription/status";

export class Plan {
  constructor() {
    for (const [button, refusal] of [["upgrade", "upgrade-error"], ["plan-upgrade", "account-error"]]) {
      byId(button).addEventListener("click", () => this.upgrade(byId(refusal)));
    }
    byId("plan-portal").addEventListener("click", () => this.inAccount(() => this.portal()));
    byId("plan-cancel").addEventListener("click", () => this.inAccount(() => this.cancel()));
    byId("plan-resume").addEventListener("click", () => this.inAccount(() => this.resume()));
  }

  async reload() {
    this.show(await get(STATUS));
  }

  show(status) {
    // A higher plan has all that Pro has.
    const isPro = status.tier !== "basic";
    const { remaining_usage: left, daily_limit: limit, subscription } = status;
    byId("quota").hidden = isPro;
    byId("quota-left").textContent =
      `${left} of ${limit} ${limit === 1 ? "answer" : "answers"} left today`;
    byId("quota-reset").textContent = left ? "" : `More at ${time(status.resets_at)}`;
    byId("quota-meter").style.width = `${(100 * left) / Math.max(limit, 1)}%`;
    toggle(byId("upgrade"), !isPro, byId("open-account"));
    toggle(byId("plan-upgrade"), !isPro, byId("plan-title"));
    byId("pro-badge").hidden = !isPro;
    byId("plan-words").textContent = inWords(status, isPro);
    const isEnding = subscription?.cancel_at_period_end;
    toggle(byId("plan-portal"), Boolean(subscription), byId("plan-title"));
    toggle(byId("plan-cancel"), Boolean(isPro && subscription && !isEnding), byId("plan-title"));
    toggle(byId("plan-resume"), Boolean(isPro && isEnding), byId("plan-title"));
  }

  /** To Stripe's Checkout page. What stands in the way is said in `refusal`, beside the button. */
  async upgrade(refusal) {
    refusal.textContent = "";
    say("The payment page is being opened.");
    try {
      const { checkout_url: url } = await post("/subscription/subscribe/pro");
      location.assign(url);
    } catch (error) {
      if (error instanceof SignedOut || error.status === undefined) return fail(error);
      refusal.textContent =
        error.code === "billing_not_configured"
          ? "Pro is not for sale on this server: payments are not set up here."
          : error.message;
      if (error.code === "already_subscribed") attempt(() => this.reload());
    }
  }

  inAccount(action) {
    byId("account-error").textContent = "";
    return Promise.resolve().then(action).catch((error) => {
      if (error.status === undefined) return fail(error);
      byId("account-error").textContent = error.message;
    });
  }

  async portal() {
    const { portal_url: url } = await post("/subscription/portal");
    location.assign(url);
  }

  async cancel() {
    const isSure = await confirmed({
      title: "Cancel Pro?",
      text: "You keep Pro until the end of what you have paid for. Until then you can change your mind.",
      yes: "Cancel Pro",
    });
    if (!isSure) return;
    this.show(await post("/subscription/cancel"));
    say("Pro is cancelled for the end of the period.");
  }

  async resume() {
    this.show(await post("/subscription/resume"));
    say("Pro goes on.");
  }
}

function inWords({ daily_limit: limit, daily_usage: used, resets_at: reset, subscription }, isPro) {
  if (!isPro) {
    return `Basic: ${limit} answers a day, ${used} used today. The count begins anew at ${time(reset)} your time.`;
  }
  if (!subscription) return `Pro, given to you. ${used} answers today.`;
  const end = day(subscription.current_period_end);
  return subscription.cancel_at_period_end
    ? `Pro until ${end}, then Basic. ${used} answers today.`
    : `Pro, renewed on ${end}. ${used} answers today.`;
}

// Quota and tier, upgrade and cancellation. Payment is on Stripe's own pages.

import { get, post } from "../api/client.js";
import { SignedOut } from "../api/session.js";
import { formatDate, formatTime } from "../time.js";
import { announce, byId, confirmAction, runSafely, showFailure, toggle } from "../ui.js";

const STATUS = "/subscription/status";

export class Plan {
  // The last answer of the server; null before the first.
  status = null;

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
    this.status = status;
    // A higher plan has all that Pro has.
    const isPro = status.tier !== "basic";
    const { remaining_usage: left, daily_limit: limit, subscription } = status;
    byId("quota").hidden = isPro;
    byId("quota-left").textContent =
      `${left} of ${limit} ${limit === 1 ? "answer" : "answers"} left today`;
    byId("quota-reset").textContent = left ? "" : `More at ${formatTime(status.resets_at)}`;
    byId("quota-meter").style.width = `${(100 * left) / Math.max(limit, 1)}%`;
    toggle(byId("upgrade"), !isPro, byId("open-account"));
    toggle(byId("plan-upgrade"), !isPro, byId("plan-title"));
    byId("pro-badge").hidden = !isPro;
    byId("plan-words").textContent = planText(status, isPro);
    const isEnding = subscription?.cancel_at_period_end;
    toggle(byId("plan-portal"), Boolean(subscription), byId("plan-title"));
    toggle(byId("plan-cancel"), Boolean(isPro && subscription && !isEnding), byId("plan-title"));
    toggle(byId("plan-resume"), Boolean(isPro && isEnding), byId("plan-title"));
  }

  /** Go to Stripe's Checkout page; show an error in `refusal`, beside the button. */
  async upgrade(refusal) {
    refusal.textContent = "";
    announce("The payment page is being opened.");
    try {
      const { checkout_url: url } = await post("/subscription/subscribe/pro");
      location.assign(url);
    } catch (error) {
      if (error instanceof SignedOut || error.status === undefined) return showFailure(error);
      refusal.textContent =
        error.code === "billing_not_configured"
          ? "Pro is not for sale on this server: payments are not set up here."
          : error.message;
      if (error.code === "already_subscribed") runSafely(() => this.reload());
    }
  }

  inAccount(action) {
    byId("account-error").textContent = "";
    return Promise.resolve().then(action).catch((error) => {
      if (error.status === undefined) return showFailure(error);
      byId("account-error").textContent =
        error.code === "subscription_scheduled"
          ? "Your subscription has a planned change. Open Card and invoices to cancel."
          : error.message;
    });
  }

  async portal() {
    const { portal_url: url } = await post("/subscription/portal");
    location.assign(url);
  }

  async cancel() {
    const isSure = await confirmAction({
      title: "Cancel Pro?",
      text: "You keep Pro until the end of what you have paid for. Until then you can change your mind.",
      yes: "Cancel Pro",
    });
    if (!isSure) return;
    this.show(await post("/subscription/cancel"));
    announce("Pro is cancelled for the end of the period.");
  }

  async resume() {
    this.show(await post("/subscription/resume"));
    announce("Pro goes on.");
  }
}

function planText({ daily_limit: limit, daily_usage: used, resets_at: reset, subscription }, isPro) {
  if (!isPro) {
    return `Basic: ${limit} answers a day, ${used} used today. The count starts again at ${formatTime(reset)} your time.`;
  }
  if (!subscription) return `Pro, given to you. ${used} answers today.`;
  const end = formatDate(subscription.current_period_end);
  const words = [
    subscription.cancel_at_period_end ? `Pro until ${end}, then Basic.` : `Pro, renewed on ${end}.`,
    `${used} answers today.`,
  ];
  if (subscription.collection_paused) {
    const resumed = subscription.collection_resumes_at;
    words.push(`Payments are paused${resumed ? ` until ${formatDate(resumed)}` : ""}.`);
  }
  if (subscription.count > 1) {
    words.push(`You have ${subscription.count} subscriptions, and each is charged. Cancelling ends all of them.`);
  }
  return words.join(" ");
}

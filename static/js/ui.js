// What every part of the page uses: its elements, its dialogs, and what it says aloud.

import { Problem } from "./api/problem.js";
import { SignedOut } from "./api/session.js";
import { formatTime } from "./time.js";

export const byId = (id) => document.getElementById(id);

/** A new element from the <template> of that id. */
export const fromTemplate = (id) => byId(id).content.firstElementChild.cloneNode(true);

/** Tell screen readers what has happened, without moving anything. */
export function announce(text) {
  byId("announcement").textContent = text;
}

/** Show what went wrong beside nothing in particular. A session that is over leads to signing in. */
export function showFailure(error) {
  if (error instanceof SignedOut) return location.replace("/");
  if (error.name === "AbortError") return;
  if (!(error instanceof Problem)) console.error(error);
  byId("failure-text").textContent =
    error instanceof Problem ? quotaMessage(error) : "Something went wrong in this page. Reload it.";
  byId("failure").hidden = false;
}

/** What a problem says to a person. */
export function quotaMessage({ message, quota }) {
  if (!quota) return message;
  const [answers, reset] = [quota.limit === 1 ? "answer" : `${quota.limit} answers`, quota.resets_at];
  return `You have used today's ${answers}. The next ones are there at ${formatTime(reset)} your time.`;
}

/** Show or hide an element. A focus in what is hidden goes to `focusFallback`, or it would be lost. */
export function toggle(element, isShown, focusFallback) {
  const losesFocus = !isShown && element.contains(document.activeElement);
  element.hidden = !isShown;
  if (losesFocus) focusFallback.focus({ preventScroll: true });
}

/** Whether what had the focus is no longer on the page, so that the keyboard would begin anew. */
export function isFocusLost() {
  const { activeElement: place } = document;
  return place === null || place === document.body || !place.checkVisibility();
}

export function hideFailure() {
  byId("failure").hidden = true;
}

/** Run something that may fail; what goes wrong is shown. */
export const runSafely = (action) => Promise.resolve().then(action).catch(showFailure);

/** Put an error into text at a field, or take it away. */
export function setFieldError(field, text = "") {
  byId(`${field.id}-error`).textContent = text;
  field.ariaInvalid = text ? "true" : null;
}

/** Ask before something that cannot be undone. */
export async function confirmAction({ title, text, yes }) {
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  byId("confirm-yes").textContent = yes;
  return (await ask(byId("confirm"))) === "yes";
}

let lastAnswer = Promise.resolve("");

/**
 * Open a dialog; the value it is closed with, empty for Escape. A browser tells of a closing a
 * frame later: whoever asks at once waits for that, or would take it for their own answer.
 */
export function ask(dialog) {
  lastAnswer = lastAnswer.then(() => {
    dialog.returnValue = "";
    dialog.showModal();
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
    });
  });
  return lastAnswer;
}

for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}

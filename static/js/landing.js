// Sign-in: a mobile number, then the code in the text message.

import { problemFrom, retryAfter, unreachable } from "./api/problem.js";
import { refresh, signIn } from "./api/session.js";
import { askWhoseAccount } from "./absence.js";
import { solve } from "./challenge.js";
import { byId, setFieldError } from "./ui.js";

// Shorter numbers are refused by every plan.
const SHORTEST_DIGITS = 10;
const mobileForm = byId("mobile-form");
const codeForm = byId("code-form");
const mobile = byId("mobile");
const code = byId("code");
let countdown = null;
// Until the typed number is checked, and the last number as the server understands it.
let pause = null;
let understood = { typed: "", formatted: "" };

// A signed-in user goes to the chats. If the check fails, the form stays.
refresh().then((isSignedIn) => isSignedIn && location.replace("/chat"), () => {});

mobileForm.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!mobile.value.trim()) return refuse(mobile, "Give your mobile number.");
  busy(mobileForm, sendCode);
});
byId("send-code").disabled = false;
mobile.addEventListener("input", () => {
  clearTimeout(pause);
  byId("mobile-understood").textContent = "";
  pause = setTimeout(() => showUnderstood().catch(() => {}), 400);
});

codeForm.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!/^[0-9]{6}$/.test(code.value)) return refuse(code, "Give the six digits of the code.");
  busy(codeForm, enter);
});

// The sixth digit, typed or pasted, submits the form.
code.addEventListener("input", () => {
  code.value = code.value.replace(/\D/g, "");
  if (code.value.length === 6) codeForm.requestSubmit();
});

byId("resend").addEventListener("click", () => busy(codeForm, sendCode));
for (const id of ["other-mobile", "absence-back"]) {
  byId(id).addEventListener("click", () => {
    show(mobileForm);
    mobile.select();
  });
}

/** Show the number as the server reads it. What the server refuses is explained at the submit. */
async function showUnderstood() {
  const typed = mobile.value.trim();
  if (typed.replace(/\D/g, "").length < SHORTEST_DIGITS) return;
  if (understood.typed !== typed) {
    const answer = await post("/api/v1/auth/check-mobile", { mobile: typed });
    if (!answer.ok) return;
    understood = { typed, ...(await answer.json()) };
  }
  if (mobile.value.trim() === typed) {
    byId("mobile-understood").textContent = `The code goes to ${understood.formatted}.`;
  }
}

async function sendCode() {
  clearTimeout(pause);
  await showUnderstood();
  let answer = await askForCode();
  if (answer.status === 403) {
    const problem = await problemFrom(answer.clone());
    if (problem.challenge) answer = await askForCode(await solved(problem.challenge));
  }
  if (!answer.ok) return showRefusal(answer, codeForm.hidden ? mobile : code);
  const { data } = await answer.json();
  byId("code-mobile").textContent =
    understood.typed === mobile.value.trim() ? understood.formatted : mobile.value.trim();
  byId("code-hint").textContent = data.otp
    ? "This is a development server: the code is filled in for you"
    : `It is good for ${Math.round(data.expires_in / 60)} minutes`;
  code.value = data.otp ?? "";
  setFieldError(code);
  show(codeForm);
  code.focus();
  waitToResend(data.resend_after);
}

const askForCode = (solution) =>
  post("/api/v1/auth/send-otp", { mobile: mobile.value.trim(), challenge_solution: solution });

const post = (path, body) =>
  fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

/** Solve the proof of work: a second or two for this device, more for robots. */
async function solved(challenge) {
  const notice = byId(codeForm.hidden ? "mobile-check" : "code-check");
  notice.textContent = "One moment: checking that no robot asks for codes.";
  try {
    return await solve(challenge);
  } finally {
    notice.textContent = "";
  }
}

async function enter() {
  const answer = await signIn(mobile.value.trim(), code.value);
  if (answer.ok) return location.assign("/chat");
  const problem = await problemFrom(answer.clone());
  if (problem.code !== "confirmation_required") return showRefusal(answer, code);
  show(byId("absence-form"));
  askWhoseAccount(problem.members);
}

async function showRefusal(answer, field) {
  const problem = await problemFrom(answer);
  const wait = answer.status === 429 ? retryAfter(answer) : null;
  const until = wait ? ` You can try again in ${waitText(wait)}.` : "";
  refuse(field, (problem.fieldError(field.name) ?? problem.message) + until);
}

function refuse(field, text) {
  setFieldError(field, text);
  field.select();
}

function waitText(seconds) {
  if (seconds < 100) return `${seconds} seconds`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 100 ? `${minutes} minutes` : `${Math.ceil(minutes / 60)} hours`;
}

/** Run one submission at a time and mark the form as busy. */
async function busy(form, submit) {
  if (form.ariaBusy === "true") return;
  form.ariaBusy = "true";
  setFieldError(form === mobileForm ? mobile : code);
  try {
    await submit();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    refuse(form === mobileForm ? mobile : code, unreachable().message);
  } finally {
    form.ariaBusy = "false";
  }
}

function show(form) {
  mobileForm.hidden = form !== mobileForm;
  codeForm.hidden = form !== codeForm;
  byId("absence-form").hidden = form !== byId("absence-form");
}

function waitToResend(seconds) {
  clearInterval(countdown);
  const tick = () => {
    byId("resend").hidden = seconds > 0;
    byId("resend-wait").textContent = seconds > 0 ? `You can ask for a new code in ${seconds} s.` : "";
    if (seconds <= 0) clearInterval(countdown);
    seconds -= 1;
  };
  tick();
  countdown = setInterval(tick, 1000);
}

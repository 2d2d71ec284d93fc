// After a long absence: is the account of the number this person's?

import { problemFrom, unreachable } from "./api/problem.js";
import { confirmAccount } from "./api/session.js";
import { byId, setFieldError } from "./ui.js";

const form = byId("absence-form");
const password = byId("absence-password");
// The refused sign-in: its token, and whether the account has a password.
let pending = null;

/** Prepare the form for a refused sign-in. */
export function askWhoseAccount(refusal) {
  pending = refusal;
  form.reset();
  showChoice();
  form.elements.choice[0].focus();
}

const choice = () => form.elements.choice.value;

// Only the choice: a change of the password comes between pressing and releasing the mouse on the
// button, and a vanishing error would move the button away.
form.addEventListener("change", (event) => event.target.name === "choice" && showChoice());

function showChoice() {
  const isMine = choice() === "mine";
  const isNew = choice() === "start_new";
  byId("absence-password-field").hidden = !isMine || !pending.has_password;
  byId("absence-mine-hint").hidden = !isMine || pending.has_password;
  byId("absence-new-hint").hidden = !isNew;
  byId("absence-error").textContent = "";
  setFieldError(password);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (form.ariaBusy === "true") return;
  if (!choice()) return refuse("Choose one of the two.");
  if (choice() === "mine" && pending.has_password && !password.value) {
    return refuse("Give the password of the account.");
  }
  form.ariaBusy = "true";
  try {
    const answer = await confirmAccount({
      confirmation_token: pending.confirmation_token,
      choice: choice(),
      password: password.value,
    });
    if (answer.ok) return location.assign("/chat");
    const problem = await problemFrom(answer);
    refuse(problem.code === "invalid_credentials" ? "The password is wrong." : problem.message);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    refuse(unreachable().message);
  } finally {
    form.ariaBusy = "false";
  }
});

function refuse(text) {
  if (byId("absence-password-field").hidden) {
    byId("absence-error").textContent = text;
    return;
  }
  setFieldError(password, text);
  password.select();
}

// What a user does with all that is kept about them: take it along as a file, or have it erased.

import { call, get, post } from "../api/client.js";
import { Problem } from "../api/problem.js";
import { sleep } from "../time.js";
import { byId, confirmAction, runSafely, showFailure, toggle } from "../ui.js";

const EXPORT = "/user/me/export";
const IN_PROGRESS = ["queued", "building"];
const MAX_POLLS = 120;

export class DataControls {
  /** `leave` ends the session here and goes to the first page. */
  constructor({ leave }) {
    this.leave = leave;
    this.state = byId("export-state");
    this.error = byId("own-data-error");
    byId("export-account").addEventListener("click", () => this.act(() => this.export()));
    byId("delete-account").addEventListener("click", () => this.act(() => this.delete()));
    byId("sign-in-again").addEventListener("click", () => runSafely(leave));
  }

  open() {
    this.showError("");
    if (!this.isExporting) this.state.textContent = "";
  }

  /** Run one of the two; what the server has against it is said below their buttons. */
  async act(action) {
    this.showError("");
    try {
      await action();
    } catch (error) {
      if (!(error instanceof Problem)) return showFailure(error);
      this.showError(error.message, error.code === "recent_sign_in_required");
    }
  }

  showError(words, wantsSignIn = false) {
    this.error.textContent = words;
    const signInAgain = byId("sign-in-again");
    toggle(signInAgain, wantsSignIn, byId("delete-account"));
    // Both are at the end of a dialog that scrolls.
    if (words) (wantsSignIn ? signInAgain : this.error).scrollIntoView({ block: "nearest" });
  }

  async export() {
    if (this.isExporting) return;
    this.isExporting = true;
    this.state.textContent = "The file is being made.";
    try {
      this.state.textContent = await this.download();
    } catch (error) {
      this.state.textContent = "";
      throw error;
    } finally {
      this.isExporting = false;
    }
  }

  /** Have the file made and take it; what came of that, in words. */
  async download() {
    let file = await post(EXPORT);
    for (let polls = 0; IN_PROGRESS.includes(file.status) && polls < MAX_POLLS; polls += 1) {
      await sleep(1);
      file = await get(EXPORT);
    }
    if (IN_PROGRESS.includes(file.status)) return "It takes longer than usual. Ask again later: it goes on.";
    if (file.status !== "ready") return "The file could not be made. Ask again later.";
    location.assign(file.download_url);
    return "Your browser is downloading the file.";
  }

  async delete() {
    const isSure = await confirmAction({
      title: "Delete your account?",
      text:
        `All that is kept about ${byId("profile-mobile").textContent} is erased for good, your chats` +
        " and messages among it, and Pro ends. There is no way back: export first what you want to keep.",
      yes: "Delete account",
    });
    if (!isSure) return;
    await call("DELETE", "/user/me");
    await this.leave();
  }
}

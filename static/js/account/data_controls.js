// What a user does with all that is kept about them: take it along as a file, or have it erased.

import { call, get, post } from "../api/client.js";
import { attempt, byId, confirmed, fail, toggle } from "../ui.js";
import { Problem } from "../api/problem.js";
import { seconds } from "../api/session.js";

const EXPORT = "/user/me/export";
const UNDER_WAY = ["queued", "building"];
const LOOKS = 120;

export class OwnData {
  /** `leave` ends the session here and goes to the first page. */
  constructor({ leave }) {
    this.leave = leave;
    this.state = byId("export-state");
    this.error = byId("own-data-error");
    byId("export-account").addEventListener("click", () => this.act(() => this.export()));
    byId("delete-account").addEventListener("click", () => this.act(() => this.delete()));
    byId("sign-in-again").addEventListener("click", () => attempt(leave));
  }

  open() {
    this.explain("");
    if (!this.isExporting) this.state.textContent = "";
  }

  /** Run one of the two; what the server has against it is said below their buttons. */
  async act(action) {
    this.explain("");
    try {
      await action();
    } catch (error) {
      if (!(error instanceof Problem)) return fail(error);
      this.explain(error.message, error.code === "recent_sign_in_required");
    }
  }

  explain(words, wantsSignIn = false) {
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
    for (let looks = 0; UNDER_WAY.includes(file.status) && looks < LOOKS; looks += 1) {
      await seconds(1);
      file = await get(EXPORT);
    }
    if (UNDER_WAY.includes(file.status)) return "It takes longer than usual. Ask again later: it goes on.";
    if (file.status !== "ready") return "The file could not be made. Ask again later.";
    location.assign(file.download_url);
    return "Your browser is downloading the file.";
  }

  async delete() {
    const isSure = await confirmed({
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

// Export of the user's data, and deletion of the account.

import { call, get, post } from "../api/client.js";
import { Problem } from "../api/problem.js";
import { sleep } from "../time.js";
import { byId, confirmAction, runSafely, showFailure, toggle } from "../ui.js";

const EXPORT = "/user/me/export";
const IN_PROGRESS = ["queued", "building"];
const MAX_POLLS = 120;

export class DataControls {
  /**
   * `leave` ends the session here and goes to the landing page. `onDelete` is called after the
   * deletion of the account.
   */
  constructor({ leave, onDelete }) {
    Object.assign(this, { leave, onDelete });
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

  /** Run an action; show a refusal below the buttons. */
  async act(action) {
    this.showError("");
    try {
      await action();
    } catch (error) {
      if (!(error instanceof Problem)) return showFailure(error);
      this.showError(error.message, error.code === "recent_sign_in_required");
    }
  }

  showError(text, wantsSignIn = false) {
    this.error.textContent = text;
    const signInAgain = byId("sign-in-again");
    toggle(signInAgain, wantsSignIn, byId("delete-account"));
    // Both are at the end of a scrolling dialog.
    if (text) (wantsSignIn ? signInAgain : this.error).scrollIntoView({ block: "nearest" });
  }

  async export() {
    if (this.isExporting) return;
    this.isExporting = true;
    this.state.textContent = "The file is being prepared.";
    try {
      this.state.textContent = await this.download();
    } catch (error) {
      this.state.textContent = "";
      throw error;
    } finally {
      this.isExporting = false;
    }
  }

  /** Request the file, download it, and return the state as text. */
  async download() {
    let file = await post(EXPORT);
    for (let polls = 0; IN_PROGRESS.includes(file.status) && polls < MAX_POLLS; polls += 1) {
      await sleep(1);
      file = await get(EXPORT);
    }
    if (IN_PROGRESS.includes(file.status)) return "This takes longer than usual. Export again later to get the file.";
    if (file.status !== "ready") return "The file could not be made. Ask again later.";
    location.assign(file.download_url);
    return "Your browser is downloading the file.";
  }

  async delete() {
    const isSure = await confirmAction({
      title: "Delete your account?",
      text:
        `All data of ${byId("profile-mobile").textContent} is erased for good, with your chats and` +
        " messages, and Pro ends. This cannot be undone: export your data first to keep it.",
      yes: "Delete account",
    });
    if (!isSure) return;
    await call("DELETE", "/user/me");
    this.onDelete();
    await this.leave();
  }
}

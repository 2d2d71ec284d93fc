// The account dialog: profile, usage, files and sessions.

import { call, get } from "../api/client.js";
import { Problem } from "../api/problem.js";
import { signOut } from "../api/session.js";
import { formatDate, formatTime } from "../time.js";
import {
  announce,
  byId,
  confirmAction,
  fromTemplate,
  runSafely,
  setFieldError,
  showFailure,
} from "../ui.js";
import { DataControls } from "./data_controls.js";
import { FileList } from "./file_list.js";
import { drawUsage } from "./usage_chart.js";

export class Account {
  /** `onDelete` is called after the deletion of the account. */
  constructor({ plan, onDelete }) {
    this.dialog = byId("account");
    this.name = byId("profile-name");
    const dataControls = new DataControls({ leave: () => this.leave(), onDelete });
    Object.assign(this, { plan, dataControls, files: new FileList() });
    byId("open-account").addEventListener("click", () => this.open());
    byId("profile-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.saveName();
    });
    byId("sign-out").addEventListener("click", () => runSafely(() => this.leave()));
    byId("sign-out-everywhere").addEventListener("click", () => runSafely(() => this.leaveEverywhere()));
  }

  open() {
    byId("account-error").textContent = "";
    setFieldError(this.name);
    this.dataControls.open();
    this.name.disabled = true; // Or a late answer would overwrite the typed name.
    this.dialog.showModal();
    runSafely(() => Promise.all([this.load(), this.plan.reload(), this.files.reload()]));
  }

  /** Open the dialog at the list of files. */
  openFiles() {
    this.open();
    byId("files-title").focus();
  }

  /** Open the dialog at the plan. */
  openPlan() {
    this.open();
    const upgrade = byId("plan-upgrade");
    (upgrade.hidden ? byId("plan-title") : upgrade).focus();
  }

  async load() {
    const [user, sessions, usage] = await Promise.all([
      get("/user/me"),
      get("/auth/sessions"),
      get("/user/me/usage?days=30"),
    ]);
    byId("profile-mobile").textContent = user.mobile;
    this.name.value = user.name;
    this.name.disabled = false;
    byId("sessions").replaceChildren(...sessions.map((session) => this.item(session)));
    drawUsage(usage);
  }

  async saveName() {
    setFieldError(this.name);
    try {
      await call("PATCH", "/user/me", { body: { name: this.name.value } });
      announce("Your name is saved.");
    } catch (error) {
      if (!(error instanceof Problem)) return showFailure(error);
      setFieldError(this.name, error.fieldError("name") ?? error.message);
    }
  }

  item(session) {
    const item = fromTemplate("session-template");
    const used = `${formatDate(session.last_used_at)}, ${formatTime(session.last_used_at)}`;
    const device = deviceName(session.user_agent);
    item.querySelector(".device").textContent = session.current ? `${device} (here)` : device;
    item.querySelector(".muted").textContent = [`Last used ${used}`, session.ip]
      .filter(Boolean)
      .join(" · ");
    const end = item.querySelector("button");
    end.hidden = session.current;
    end.ariaLabel = `End the session on ${device}, last used ${used}`;
    end.addEventListener("click", () =>
      runSafely(async () => {
        await call("DELETE", `/auth/sessions/${session.id}`);
        item.remove();
        byId("sign-out").focus();
        announce("That session has ended.");
      }),
    );
    return item;
  }

  async leave() {
    await signOut();
    sessionStorage.clear();
    location.assign("/");
  }

  async leaveEverywhere() {
    const isSure = await confirmAction({
      title: "Sign out everywhere?",
      text: "Every session ends, this one too. You sign in again with a new code.",
      yes: "Sign out everywhere",
    });
    if (!isSure) return;
    await call("POST", "/auth/logout-all");
    await this.leave();
  }
}

/** Make “Firefox on Windows” of a user agent. */
function deviceName(userAgent) {
  const named = (names) => names.find(([pattern]) => pattern.test(userAgent))?.[1];
  const browser = named([
    [/Edg/, "Edge"],
    [/Firefox/, "Firefox"],
    [/Chrome/, "Chrome"],
    [/Safari/, "Safari"],
  ]);
  const system = named([
    [/iPhone|iPad/, "iOS"],
    [/Android/, "Android"],
    [/Windows/, "Windows"],
    [/Mac OS/, "macOS"],
    [/Linux/, "Linux"],
  ]);
  if (!browser) return userAgent.split("/")[0] || "Unknown device";
  return system ? `${browser} on ${system}` : browser;
}

// The menu of the shown chat: name, pin, archive, export, delete.

import { call } from "../api/client.js";
import { Problem } from "../api/problem.js";
import { announce, byId, confirmAction, runSafely, setFieldError, showFailure } from "../ui.js";

export class RoomMenu {
  /** `onChange` takes the changed room, `onDelete` nothing. */
  constructor({ onChange, onDelete }) {
    Object.assign(this, { onChange, onDelete });
    this.menu = byId("room-menu");
    this.button = byId("room-menu-button");
    this.menu.addEventListener("click", (event) => {
      const action = event.target.closest("button")?.dataset.do;
      if (!action) return;
      this.menu.hidePopover();
      this.button.focus();
      runSafely(() => this[action](this.room));
    });
    // Tab out of the menu closes it, or it would cover the next element.
    this.menu.addEventListener("focusout", ({ relatedTarget: next }) => {
      if (next && next !== this.button && !this.menu.contains(next)) this.menu.hidePopover();
    });
    byId("rename").addEventListener("submit", (event) => {
      event.preventDefault();
      runSafely(() => this.saveName(this.room));
    });
  }

  show(room) {
    this.room = room;
    this.button.hidden = !room;
    byId("temporary-badge").hidden = !room?.temporary;
    if (!room) return;
    byId("pin").textContent = room.pinned ? "Unpin" : "Pin";
    byId("archive").textContent = room.archived ? "Back to the chats" : "Archive";
    for (const item of this.menu.querySelectorAll("[data-lasting]")) item.hidden = room.temporary;
  }

  async change(room, fields) {
    const answer = await call("PATCH", `/chatroom/${room.id}`, { body: fields });
    this.onChange(await answer.json());
  }

  rename(room) {
    const [name, instructions] = this.fields();
    name.value = room.title;
    instructions.value = room.system_prompt;
    for (const field of this.fields()) setFieldError(field);
    byId("rename").showModal();
    name.select();
  }

  fields() {
    return [byId("rename-name"), byId("rename-instructions")];
  }

  async saveName(room) {
    const fields = Object.fromEntries(this.fields().map((field) => [field.name, field.value]));
    try {
      // An unchanged title is not sent: an automatic title would count as given by the user.
      if (fields.title === room.title) delete fields.title;
      await this.change(room, fields);
    } catch (error) {
      if (!(error instanceof Problem)) return showFailure(error);
      for (const field of this.fields()) setFieldError(field, error.fieldError(field.name));
      if (!error.errors.length) setFieldError(this.fields()[0], error.message);
      return;
    }
    byId("rename").close();
    announce("Saved.");
  }

  async pin(room) {
    await this.change(room, { pinned: !room.pinned });
    announce(room.pinned ? "Unpinned." : "Pinned.");
  }

  async archive(room) {
    await this.change(room, { archived: !room.archived });
    announce(room.archived ? "Moved back to the chats." : "Archived.");
  }

  exportMarkdown(room) {
    return this.download(room, "markdown");
  }

  exportJson(room) {
    return this.download(room, "json");
  }

  /** Fetch the file and hand it over, since a link would send no token. */
  async download(room, kind) {
    const answer = await call("GET", `/chatroom/${room.id}/export?as=${kind}`);
    const named = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition"));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = named[1];
    link.click();
    URL.revokeObjectURL(link.href);
  }

  async remove(room) {
    const isSure = await confirmAction({
      title: "Delete this chat?",
      text: `“${room.title}” and all its messages will be gone for good.`,
      yes: "Delete",
    });
    if (!isSure) return;
    await call("DELETE", `/chatroom/${room.id}`);
    this.onDelete();
    announce("Deleted.");
  }
}

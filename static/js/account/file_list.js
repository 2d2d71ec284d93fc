// All files of the user: the used space, the list by kind, and deletion.

import { call } from "../api/client.js";
import { openBy, showPicture } from "../files/addresses.js";
import { count, describeStored, formatSize, showIcon, showName } from "../files/words.js";
import { announce, byId, confirmAction, fromTemplate, runSafely, toggle } from "../ui.js";

const PAGE = 20;

export class FileList {
  constructor() {
    this.list = byId("files");
    this.kind = byId("files-kind");
    this.more = byId("more-files");
    this.note = byId("files-note");
    this.kind.addEventListener("change", () => runSafely(() => this.reload()));
    this.more.addEventListener("click", () => runSafely(() => this.loadMore()));
  }

  /** Load the first page again. A newer call aborts an older one. */
  async reload() {
    this.loading?.abort();
    const loading = (this.loading = new AbortController());
    const { results, next } = await this.page(null, loading.signal);
    this.list.replaceChildren(...results.map((file) => this.item(file)));
    this.next = next;
    this.showEnd();
    const files = count(results.length, "file");
    this.note.textContent = results.length ? (next ? "" : files) : "No files here.";
  }

  async loadMore() {
    const cursor = this.next;
    if (!cursor) return;
    this.next = null;
    const { results, next } = await this.page(cursor, this.loading.signal);
    const items = results.map((file) => this.item(file));
    this.list.append(...items);
    this.next = next;
    items[0]?.querySelector("a, button").focus();
    this.showEnd();
  }

  showEnd() {
    toggle(this.more, Boolean(this.next), byId("files-title"));
  }

  async page(cursor, signal) {
    const query = new URLSearchParams({ limit: PAGE });
    if (this.kind.value) query.set("kind", this.kind.value);
    if (cursor) query.set("cursor", cursor);
    const answer = await call("GET", `/file/?${query}`, { signal });
    this.showSpace(answer.headers);
    return answer.json();
  }

  showSpace(headers) {
    const [used, limit] = ["Used", "Limit"].map((name) => Number(headers.get(`X-Storage-${name}`)));
    byId("files-space").textContent = `${formatSize(used)} of ${formatSize(limit)} used`;
    byId("files-meter").style.width = `${Math.min(100, (100 * used) / Math.max(limit, 1))}%`;
  }

  item(file) {
    const item = fromTemplate("stored-file-template");
    const [name, button] = [item.querySelector(".file-name"), item.querySelector("button")];
    showName(name, file.name);
    item.querySelector(".muted").textContent = describeStored(file);
    showIcon(item, file.kind);
    if (file.url) openBy(name, file);
    if (file.thumbnail_url) this.showThumbnail(item, file);
    button.ariaLabel = `Delete ${file.name}`;
    button.addEventListener("click", () => runSafely(() => this.delete(file, item)));
    return item;
  }

  showThumbnail(item, file) {
    const image = document.createElement("img");
    Object.assign(image, { alt: "", loading: "lazy" });
    item.querySelector(".file-picture").replaceChildren(image);
    showPicture(image, file);
  }

  async delete(file, item) {
    const isSure = await confirmAction({
      title: "Delete this file?",
      text: `“${file.name}” will be gone for good. Messages that have it show that it was deleted.`,
      yes: "Delete",
    });
    if (!isSure) return;
    await call("DELETE", `/file/${file.id}`);
    const index = [...this.list.children].indexOf(item);
    await this.reload();
    const next = this.list.children[index] ?? this.list.lastElementChild;
    (next?.querySelector("button") ?? byId("files-title")).focus();
    announce(`${file.name} is deleted.`);
  }
}

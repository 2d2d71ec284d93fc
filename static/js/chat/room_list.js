// The list of chats: pages, archive and search.

import { call, nextPage } from "../api/client.js";
import { formatDate, formatTime } from "../time.js";
import { byId, fromTemplate, runSafely, toggle } from "../ui.js";

const TYPING_PAUSE_MS = 250;

export class RoomList {
  isArchived = false;
  matches = new Map();

  constructor() {
    this.list = byId("rooms");
    this.note = byId("rooms-note");
    this.more = byId("more-rooms");
    this.search = byId("search");
    this.search.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => runSafely(() => this.reload()), TYPING_PAUSE_MS);
    });
    byId("show-current").addEventListener("click", () => this.switchTo(false));
    byId("show-archived").addEventListener("click", () => this.switchTo(true));
    this.more.addEventListener("click", () => runSafely(() => this.loadMore()));
    new IntersectionObserver(([entry]) => {
      if (entry.isIntersecting) runSafely(() => this.loadMore());
    }).observe(this.more);
  }

  switchTo(isArchived) {
    this.isArchived = isArchived;
    byId("show-current").ariaPressed = String(!isArchived);
    byId("show-archived").ariaPressed = String(isArchived);
    runSafely(() => this.reload());
  }

  get query() {
    return this.search.value.trim();
  }

  /** Load the first page again. A newer call aborts an older one. */
  async reload() {
    this.loading?.abort();
    const loading = (this.loading = new AbortController());
    const query = new URLSearchParams({ archived: this.isArchived, ...(this.query && { q: this.query }) });
    const { rooms, next } = await this.page(`/chatroom/?${query}`, loading.signal);
    this.matches.clear();
    this.replace(rooms.map((room) => this.item(room)));
    this.next = next;
    toggle(this.more, Boolean(next), this.search);
    this.note.textContent = this.roomsNote(rooms.length, next);
  }

  /** Replace the items and keep the focus, as an answer may end at any moment. */
  replace(items) {
    const focused = this.list.contains(document.activeElement) ? document.activeElement.href : null;
    this.list.replaceChildren(...items);
    if (focused === null) return;
    const links = [...this.list.querySelectorAll("a")];
    (links.find((link) => link.href === focused) ?? this.search).focus({ preventScroll: true });
  }

  async loadMore() {
    const path = this.next;
    if (!path) return;
    this.next = null;
    const loading = this.loading;
    const { rooms, next } = await this.page(path, loading.signal);
    const first = this.more === document.activeElement && rooms.length;
    const items = rooms.map((room) => this.item(room));
    this.list.append(...items);
    this.next = next;
    this.more.hidden = !next;
    if (first) items[0].querySelector("a").focus();
  }

  async page(path, signal) {
    const answer = await call("GET", path, { signal });
    return { rooms: await answer.json(), next: nextPage(answer) };
  }

  roomsNote(count, next) {
    if (this.query) {
      const chats = count === 1 ? "1 chat" : `${count} chats`;
      return count ? `Found in ${next ? `more than ${chats}` : chats}` : "Found in no chat";
    }
    if (count) return "";
    return this.isArchived
      ? "Nothing is archived. Archive a chat from its menu to have it out of the way."
      : "No chats yet. Your first message starts one.";
  }

  item(room) {
    const item = fromTemplate("room-template");
    const link = item.querySelector("a");
    link.href = `/chat/${room.id}`;
    if (room.id === this.current) link.ariaCurrent = "page";
    item.classList.toggle("pinned", room.pinned);
    item.querySelector(".room-title").textContent = room.title;
    this.describe(item.querySelector(".room-excerpt"), room);
    if (room.excerpt?.message_id) this.matches.set(room.id, room.excerpt.message_id);
    return item;
  }

  /** Show the search's excerpt with marked words, or else the time of the last message. */
  describe(element, { excerpt, pinned, last_message_at: at }) {
    if (!excerpt) {
      const isToday = at && formatDate(at) === formatDate(new Date());
      const when = at ? (isToday ? formatTime(at) : formatDate(at)) : "No messages yet";
      element.textContent = pinned ? `Pinned · ${when}` : when;
      return;
    }
    for (const { text, marked } of excerpt.pieces) {
      const piece = marked ? document.createElement("mark") : document.createTextNode("");
      piece.textContent = text;
      element.append(piece);
    }
  }

  mark(roomId) {
    this.current = roomId;
    for (const link of this.list.querySelectorAll("a")) {
      link.ariaCurrent = link.pathname === `/chat/${roomId}` ? "page" : null;
    }
  }
}

// The conversation on the page: the branch of the server, and answers in progress.

import { get, post } from "../api/client.js";
import { Problem } from "../api/problem.js";
import { follow } from "../api/sse.js";
import { sleep } from "../time.js";
import { announce, byId, runSafely, toggle } from "../ui.js";
import { MessageActions } from "./message_actions.js";
import { MessageView, isInProgress } from "./message_view.js";

const UNTITLED = document.body.dataset.defaultTitle;
const TITLE_WAITS_SECONDS = [0.5, 1, 2, 4];
const NEAR_THE_END_PIXELS = 80;
const ANNOUNCED_CHARACTERS = 500;

export class Conversation {
  room = null;
  views = [];
  following = new Map();
  sent = 0;

  /**
   * `onRoom` takes the shown room; `onExchange` is called after a send or an answer. `onContinue`
   * asks for the rest of an answer; `pickModel` takes a button and returns the picked model, or null.
   */
  constructor({ onRoom, onExchange, onContinue, pickModel }) {
    Object.assign(this, { onRoom, onExchange, onContinue, pickModel });
    this.log = byId("log");
    this.list = byId("messages");
    const actions = new MessageActions(this);
    this.list.addEventListener("click", (event) => actions.act(event));
    this.list.addEventListener("grown", () => this.keepAtEnd());
    this.log.addEventListener("scroll", () => this.checkPosition());
    byId("latest").addEventListener("click", () => this.scrollToEnd());
    byId("earlier").addEventListener("click", () => runSafely(() => this.showEarlier()));
    new IntersectionObserver(([entry]) => {
      if (entry.isIntersecting) runSafely(() => this.showEarlier());
    }).observe(byId("earlier"));
  }

  /** Show a room; null is a new room. */
  async open(roomId) {
    for (const follower of this.following.values()) follower.abort();
    this.following.clear();
    this.list.replaceChildren();
    Object.assign(this, { room: null, views: [], earlier: null, opening: roomId });
    this.show({ loading: roomId !== null, welcome: roomId === null });
    this.onRoom(null);
    if (roomId !== null) await this.load(roomId);
  }

  get isLoading() {
    return this.opening !== null && this.room === null;
  }

  /** Load the shown room again. */
  async reload() {
    if (this.opening) await this.load(this.opening);
  }

  async load(roomId) {
    const { sent } = this;
    const model = this.room?.model;
    let room;
    try {
      room = await get(`/chatroom/${roomId}`);
    } catch (error) {
      if (!(error instanceof Problem && error.status === 404)) throw error;
    }
    // The user has opened another room, or sent a message that this answer lacks.
    if (this.opening !== roomId || this.sent !== sent) return;
    if (!room) return this.show({ gone: true });
    const isNew = this.room === null;
    // A model that was saved meanwhile is newer than this answer.
    if (!isNew && this.room.model !== model) room.model = this.room.model;
    this.room = room;
    this.showBranch(room.messages, room.previous_cursor);
    this.show({ welcome: room.messages.length === 0 });
    this.onRoom(room);
    if (isNew) this.scrollToEnd();
  }

  show({ loading = false, welcome = false, gone = false }) {
    byId("loading").hidden = !loading;
    byId("gone").hidden = !gone;
    toggle(byId("welcome"), welcome, this.log);
    toggle(byId("composer"), !gone, byId("room-title"));
    toggle(byId("earlier"), Boolean(this.earlier), this.log);
    this.showBusy();
  }

  /** Show the latest messages of the branch; loaded earlier ones stay. */
  showBranch(messages, cursor) {
    const first = this.views.findIndex((view) => view.id === messages[0]?.id);
    const kept = this.views.slice(0, Math.max(first, 0));
    if (!kept.length) this.earlier = cursor;
    const known = new Map(this.views.map((view) => [view.id, view]));
    this.setViews([...kept, ...messages.map((message) => this.ensureView(message, known))]);
  }

  ensureView(message, known = new Map()) {
    const view = known.get(message.id) ?? new MessageView(message);
    // A followed reply has more text than its row, which is written at the end.
    if (!this.following.has(message.id)) {
      view.update(message);
      if (isInProgress(message)) this.follow(view);
    }
    return view;
  }

  setViews(views) {
    for (const view of this.views) if (!views.includes(view)) view.element.remove();
    this.views = views;
    views.forEach((view, index) => {
      const current = this.list.children[index];
      if (current !== view.element) this.list.insertBefore(view.element, current ?? null);
    });
    this.keepAtEnd();
  }

  /** Add the accepted prompt and its reply. */
  accepted(room, { message, reply }) {
    this.opening = room.id;
    this.room = room;
    this.sent += 1;
    this.show({});
    this.setViews([...this.views, this.ensureView(message), this.ensureView(reply)]);
    this.scrollToEnd();
    this.notifyExchange();
  }

  /** Load the page before the shown messages; parallel calls share one request. */
  showEarlier() {
    this.loadingEarlier ??= this.loadEarlier().finally(() => {
      this.loadingEarlier = null;
    });
    return this.loadingEarlier;
  }

  async loadEarlier() {
    const [cursor, first] = [this.earlier, this.views[0]];
    if (!cursor) return;
    const path = `/message/chatroom/${this.room.id}/message?before=${cursor}`;
    const { results, previous } = await get(path);
    // The user has opened another room or branch.
    if (this.views[0] !== first) return;
    this.earlier = previous;
    const below = this.log.scrollHeight - this.log.scrollTop;
    this.setViews([...results.map((message) => this.ensureView(message)), ...this.views]);
    this.show({});
    this.log.scrollTop = this.log.scrollHeight - below;
  }

  follow(view) {
    const follower = new AbortController();
    this.following.set(view.id, follower);
    announce("Gemini is answering.");
    const ended = follow(view.id, {
      signal: follower.signal,
      onText: (text) => view.append(text),
      onRestart: () => view.restart(),
      onWaiting: (waiting) => {
        view.wait(waiting);
        announce(view.waitText());
      },
      onEnd: (message) => this.ended(view, message),
    });
    runSafely(() => ended).then(() => {
      if (this.following.get(view.id) !== follower) return;
      this.following.delete(view.id);
      this.showBusy();
    });
    this.showBusy();
  }

  ended(view, message) {
    if (message === null) return this.setViews(this.views.filter((item) => item !== view));
    view.update(message);
    this.keepAtEnd();
    announce(`Gemini: ${view.content.textContent.slice(0, ANNOUNCED_CHARACTERS)} ${view.stateText()}`);
    this.notifyExchange();
    if (this.room.title === UNTITLED) {
      runSafely(() => this.awaitTitle(this.room.id));
    }
  }

  /** Something was said: the list of rooms and the quota are not what they were. */
  notifyExchange() {
    this.onExchange(this.room);
  }

  /** Wait for the title, which the server makes after the first exchange. */
  async awaitTitle(roomId) {
    for (const wait of TITLE_WAITS_SECONDS) {
      await sleep(wait);
      const { title } = await get(`/chatroom/${roomId}`);
      if (this.room?.id !== roomId) return;
      if (title === UNTITLED) continue;
      this.room.title = title;
      this.onRoom(this.room);
      return this.notifyExchange();
    }
  }

  /** Mark the log as busy during an answer, so that it is not read out word by word. */
  showBusy() {
    const isBusy = this.following.size > 0;
    this.log.ariaBusy = String(isBusy);
    toggle(byId("stop"), isBusy, this.log);
  }

  /** Stop every answer in progress, the last one first, or the next would begin meanwhile. */
  async stop() {
    for (const id of [...this.following.keys()].reverse()) await post(`/message/${id}/stop`);
  }

  /** Show the branch of this message and focus the message, if it is there. */
  async showVersion(id) {
    await this.reload();
    const view = await this.find(id);
    if (view) view.element.tabIndex = -1;
    view?.element.focus({ preventScroll: true });
    return view;
  }

  /** Scroll to a message that a search has found, if the shown branch has it. */
  async scrollToMessage(id) {
    const view = await this.find(id);
    view?.element.scrollIntoView({ block: "center" });
    view?.element.classList.add("found");
  }

  /** Find a message of the branch; earlier pages are loaded as needed. */
  async find(id) {
    let view;
    while (!(view = this.views.find((item) => item.id === id)) && this.earlier) {
      await this.showEarlier();
    }
    return view;
  }

  checkPosition() {
    const below = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight;
    this.isAway = below > NEAR_THE_END_PIXELS;
    toggle(byId("latest"), this.isAway, this.log);
  }

  keepAtEnd() {
    if (!this.isAway) this.scrollToEnd();
  }

  scrollToEnd() {
    this.log.scrollTop = this.log.scrollHeight;
    this.checkPosition();
  }
}

// The chat page: the path decides the view, and callbacks here connect the parts.

import { Account } from "../account/account.js";
import { Plan } from "../account/plan.js";
import { byId, hideFailure, isFocusLost, runSafely, showFailure } from "../ui.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { ModelChoice } from "./model_choice.js";
import { models } from "./model_list.js";
import { ModelPicker } from "./model_picker.js";
import { RoomList } from "./room_list.js";
import { RoomMenu } from "./room_menu.js";

const narrow = matchMedia("(max-width: 760px)");

const rooms = new RoomList();
const plan = new Plan();
const menu = new RoomMenu({
  onChange: (room) => {
    conversation.room = room;
    showRoom(room);
    runSafely(() => rooms.reload());
  },
  onDelete: () => {
    go("/chat");
    runSafely(() => rooms.reload());
  },
});
const conversation = new Conversation({
  onRoom: showRoom,
  onExchange: () => runSafely(() => Promise.all([rooms.reload(), plan.reload()])),
  onContinue: () => composer.continue(),
  pickModel: (button) => picker.ask(button),
});
const choice = new ModelChoice({ conversation, onChange: showModel });
const composer = new Composer({
  conversation,
  choice,
  plan,
  onNewRoom: (room) => {
    history.replaceState(null, "", `/chat/${room.id}`);
    showView(room.id);
    showRoom(room);
  },
  onUpgrade: (refusal) => plan.upgrade(refusal),
  onFull: () => account.openFiles(),
});
const account = new Account({ plan, onDelete: () => models.erase() });
const picker = new ModelPicker({ conversation, choice, onLocked: () => account.openPlan() });
models.onLoad = () => {
  showModel();
  for (const view of conversation.views) view.showAbout();
};

function showRoom(room) {
  const title = room?.title ?? document.body.dataset.defaultTitle;
  byId("room-title").textContent = title;
  document.title = `${title} · GemChatRoom`;
  menu.show(room);
  showModel();
}

/** Show the model in force, and whether it reads the attached files. */
function showModel() {
  picker.show();
  composer.attachments.showState();
}

/** Show what the path names: /chat, /chat/new or /chat/<id of a room>. */
async function route() {
  const name = /^\/chat\/([^/]+)/.exec(location.pathname)?.[1] ?? null;
  const roomId = name === "new" ? null : name;
  hideFailure();
  showView(name);
  choice.open();
  const opened = conversation.open(roomId);
  composer.open();
  await opened;
  if (rooms.matches.has(roomId)) await conversation.scrollToMessage(rooms.matches.get(roomId));
}

/** Choose between list and conversation, since a phone has room for one. */
function showView(name) {
  document.body.dataset.view = name ? "conversation" : "rooms";
  rooms.mark(name);
}

/** Focus the element where the user goes on in this view. */
function focusView() {
  if (narrow.matches && document.body.dataset.view === "rooms") byId("new-chat").focus();
  else if (narrow.matches || byId("composer").hidden) byId("room-title").focus();
  else byId("prompt").focus();
}

function restoreFocus() {
  if (isFocusLost()) focusView();
}

function go(path) {
  history.pushState(null, "", path);
  runSafely(route).then(focusView);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='/chat']");
  const isPlain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
  if (!link || !isPlain) return;
  event.preventDefault();
  go(link.pathname);
});
// By focus, not by address: a new address, even of a fragment, opens another chat.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId(byId("composer").hidden ? "room-title" : "prompt").focus();
});
window.addEventListener("popstate", () => runSafely(route).then(restoreFocus));
byId("failure").querySelector("button").addEventListener("click", () => {
  hideFailure();
  restoreFocus();
});

// A tab that becomes visible shows what happened elsewhere meanwhile.
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") runSafely(() => conversation.reload());
});

function showNetwork() {
  byId("offline").hidden = navigator.onLine;
  byId("offline").textContent = navigator.onLine
    ? ""
    : "You are offline. What you write is saved, and answers continue when you are back.";
}
window.addEventListener("offline", showNetwork);
window.addEventListener("online", () => {
  showNetwork();
  hideFailure();
  runSafely(() => Promise.all([conversation.reload(), rooms.reload(), plan.reload(), models.ready()]));
});
window.addEventListener("unhandledrejection", (event) => showFailure(event.reason));
showNetwork();
// Pages that are not served over TLS may not write to the clipboard.
document.body.classList.toggle("no-clipboard", !navigator.clipboard);

await runSafely(() => Promise.all([route(), rooms.reload(), plan.reload(), models.ready()]));
if (!narrow.matches && isFocusLost()) byId("prompt").focus();

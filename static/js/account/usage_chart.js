// The usage chart: a bar for each day, with a summary and a table.

import { byId } from "../ui.js";

const DAYS = 30;
const [WIDTH, HEIGHT] = [600, 140];
const GAP = 4;
const DATE = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });

export function drawUsage({ results, totals }) {
  const days = lastDays();
  const known = new Map(results.map((row) => [row.day, row]));
  const most = Math.max(1, ...results.map((row) => row.replies));
  const step = WIDTH / DAYS;
  const bars = days.map((date, index) => {
    const replies = known.get(date)?.replies ?? 0;
    const height = replies ? Math.max((HEIGHT * replies) / most, 4) : 1;
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const box = { x: index * step + GAP / 2, y: HEIGHT - height, width: step - GAP, height, rx: 2 };
    for (const [name, value] of Object.entries(box)) bar.setAttribute(name, value);
    bar.classList.toggle("none", !replies);
    return bar;
  });
  byId("usage").querySelector("svg").replaceChildren(...bars);
  byId("usage-first").textContent = shortDate(days[0]);
  byId("usage-last").textContent = "Today";
  byId("usage-caption").textContent = summary(totals, most);
  byId("usage-details").hidden = !results.length;
  byId("usage-details").querySelector("tbody").replaceChildren(...results.map(row));
}

function summary({ replies, prompt_tokens: asked, output_tokens: written }, most) {
  if (!replies) return "No answers yet.";
  const count = replies === 1 ? "1 answer" : `${replies} answers`;
  return `${count}, at most ${most} on one day; ${(asked + written).toLocaleString()} tokens in all.`;
}

function row({ day, replies, prompt_tokens: asked, output_tokens: written }) {
  const line = document.createElement("tr");
  const cells = [shortDate(day), replies, (asked + written).toLocaleString()].map((text, index) => {
    const cell = document.createElement(index ? "td" : "th");
    if (!index) cell.scope = "row";
    cell.textContent = text;
    return cell;
  });
  line.append(...cells);
  return line;
}

/** The days of the chart in the API's format (UTC), the oldest first. */
function lastDays() {
  const today = new Date();
  return Array.from({ length: DAYS }, (_, index) => {
    const date = new Date(today);
    date.setUTCDate(today.getUTCDate() - (DAYS - 1 - index));
    return date.toISOString().slice(0, 10);
  });
}

const shortDate = (date) => DATE.format(new Date(`${date}T00:00:00Z`));

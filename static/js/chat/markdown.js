// Markdown to elements. The renderer escapes HTML in a message, so that it appears as text. The
// renderer's output is sanitised before it enters the page.

import { Marked } from "../../vendor/marked.js";
import DOMPurify from "../../vendor/purify.js";

const MOST_HEADING_LEVEL = 6;
// The page's own headings have the levels above.
const HEADINGS_ABOVE = 2;

const escaped = (text) =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: ({ text, block }) => (block ? `<p>${escaped(text)}</p>` : escaped(text)),
    // A message must not load anything from elsewhere.
    image: ({ href, text }) => `<a href="${escaped(href)}">${escaped(text || href)}</a>`,
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
    heading({ tokens, depth }) {
      const level = Math.min(depth + HEADINGS_ABOVE, MOST_HEADING_LEVEL);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`;
    },
  },
});

const ALLOWED = {
  ALLOWED_TAGS: [
    ..."p br hr strong em del a code pre blockquote ul ol li h3 h4 h5 h6".split(" "),
    ..."table thead tbody tr th td".split(" "),
  ],
  ALLOWED_ATTR: ["href", "title", "start", "class"],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

/**
 * Show `text` in `element`. Unchanged blocks stay, so that a growing answer renders only its last
 * paragraph, and a selection stays.
 */
export function render(element, text) {
  const blocks = marked.lexer(text);
  const shown = element.renderedBlocks ?? [];
  let same = 0;
  while (same < shown.length && same < blocks.length && shown[same].raw === blocks[same].raw) {
    same += 1;
  }
  for (const { nodes } of shown.slice(same)) nodes.forEach((node) => node.remove());
  const added = blocks.slice(same).map((block) => {
    const fragment = DOMPurify.sanitize(marked.parser([block]), ALLOWED);
    completeBlock(fragment);
    const nodes = [...fragment.childNodes];
    element.append(fragment);
    return { raw: block.raw, nodes };
  });
  element.renderedBlocks = [...shown.slice(0, same), ...added];
}

/** Complete a block: links open in a new tab, wide blocks scroll. */
function completeBlock(fragment) {
  for (const link of fragment.querySelectorAll("a")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
  }
  for (const pre of fragment.querySelectorAll("pre")) pre.replaceWith(codeBlock(pre));
  for (const table of fragment.querySelectorAll("table")) {
    const scroller = document.createElement("div");
    scroller.className = "scroller";
    scroller.tabIndex = 0;
    table.replaceWith(scroller);
    scroller.append(table);
  }
}

function codeBlock(pre) {
  const block = document.createElement("div");
  const header = document.createElement("div");
  const language = document.createElement("span");
  const copy = document.createElement("button");
  block.className = "code-block";
  header.className = "code-header";
  language.textContent = /language-([\w+#-]+)/.exec(pre.firstElementChild?.className)?.[1] ?? "code";
  copy.type = "button";
  copy.className = "link";
  copy.dataset.do = "copyCode";
  copy.textContent = "Copy code";
  pre = pre.cloneNode(true);
  pre.tabIndex = 0;
  header.append(language, copy);
  block.append(header, pre);
  return block;
}

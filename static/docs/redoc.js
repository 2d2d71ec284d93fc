"use strict";

// Redoc shows a logo from its makers' server. The page may load nothing from there, and each try
// would be an error in the console. So the logo is an empty image, however React sets it.
const EMPTY = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>";
const local = (url) => (url.startsWith("https://cdn.redoc.ly/") ? EMPTY : url);
const images = HTMLImageElement.prototype;
const source = Object.getOwnPropertyDescriptor(images, "src");
Object.defineProperty(images, "src", {
  ...source,
  set(url) {
    source.set.call(this, local(url));
  },
});
images.setAttribute = function (name, value) {
  Element.prototype.setAttribute.call(this, name, name === "src" ? local(value) : value);
};

const container = document.getElementById("description");
// The search would need a worker made of a blob, which the CSP refuses.
Redoc.init(container.dataset.url, { disableSearch: true }, container);

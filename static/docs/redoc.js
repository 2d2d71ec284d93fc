"use strict";

// Redoc shows a logo from its makers' server. The page may load nothing from there, and the
// console would tell of it each time: so that logo is an empty image, however React sets it.
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

const place = document.getElementById("description");
// The search would run in a worker made of a blob.
Redoc.init(place.dataset.url, { disableSearch: true }, place);

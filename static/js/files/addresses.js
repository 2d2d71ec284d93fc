// Signed addresses of files. An address is good for 15 minutes, a page may be open for a day.

import { get } from "../api/client.js";
import { runSafely } from "../ui.js";

const USABLE_MS = 14 * 60 * 1000;

/** Show the thumbnail of a file. `onGone` is called where the file does not exist any more. */
export function showPicture(image, file, { onGone = () => {} } = {}) {
  image.addEventListener("error", () => runSafely(() => renew()), { once: true });
  image.src = file.thumbnail_url;

  async function renew() {
    const renewed = await read(file.id);
    if (renewed?.thumbnail_url) image.src = renewed.thumbnail_url;
    else onGone();
  }
}

/** Let a link open a file, also after the end of its address. */
export function openBy(link, file, { onGone = () => {} } = {}) {
  link.href = file.url;
  // By the time since the reading, as the computer's clock may be wrong.
  let readAt = Date.now();
  link.addEventListener("click", (event) => {
    if (Date.now() - readAt < USABLE_MS) return;
    event.preventDefault();
    runSafely(async () => {
      const renewed = await read(file.id);
      if (!renewed?.url) return onGone();
      link.href = renewed.url;
      readAt = Date.now();
      link.click();
    });
  });
}

/** Read a file; null where the file does not exist. */
async function read(id) {
  try {
    return await get(`/file/${id}`);
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

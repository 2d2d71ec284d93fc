// Finds the number for which SHA-256(salt + number) is the challenge.

const TOGETHER = 256;
const encoder = new TextEncoder();

self.addEventListener("message", async ({ data }) => {
  const wanted = Uint8Array.from(data.challenge.match(/../g), (pair) => Number.parseInt(pair, 16));
  for (let first = 0; first <= data.maxnumber; first += TOGETHER) {
    const tries = Array.from({ length: TOGETHER }, (_, index) =>
      crypto.subtle.digest("SHA-256", encoder.encode(data.salt + (first + index))),
    );
    const digests = await Promise.all(tries);
    const found = digests.findIndex((digest) => isSame(new Uint8Array(digest), wanted));
    if (found >= 0) return self.postMessage(first + found);
  }
  throw new Error("The challenge has no solution.");
});

const isSame = (digest, wanted) => digest.every((byte, index) => byte === wanted[index]);

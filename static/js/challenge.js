// Proof of work, which the server asks for before a code while much is sent (ALTCHA, version 1).

/** The text that answers a challenge, found in a worker, so that the page goes on. */
export function solve(challenge) {
  const worker = new Worker(new URL("./challenge_worker.js", import.meta.url), { type: "module" });
  return new Promise((resolve, reject) => {
    worker.addEventListener("message", ({ data }) => resolve(solution(challenge, data)));
    worker.addEventListener("error", (event) => reject(new Error(event.message)));
    worker.postMessage(challenge);
  }).finally(() => worker.terminate());
}

function solution({ algorithm, challenge, salt, signature }, number) {
  return btoa(JSON.stringify({ algorithm, challenge, number, salt, signature }));
}

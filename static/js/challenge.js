// Proof of work before a code, which the server requires near a limit (ALTCHA, version 1).

/** Solve a challenge in a worker, so that the page stays responsive. */
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

// Sign in, ask, and print the answer as it is written, over whatever breaks on the way. Node 20.
// node docs/examples/client.mjs http://127.0.0.1:8000 +919812345678 "Why is the sky blue?"
import { createInterface } from "node:readline/promises";
const [url, mobile, prompt] = process.argv.slice(2);
const headers = { "Content-Type": "application/json" };

async function call(path, body) {
  const sent = body && { method: "POST", body: JSON.stringify(body) };
  const answer = await fetch(`${url}/api/v1/${path}`, { headers, ...sent });
  if (!answer.ok) throw new Error((await answer.json()).detail);
  return answer;
}
const post = async (path, body) => (await call(path, body)).json();
const { data: sent } = await post("auth/send-otp", { mobile });
const terminal = createInterface(process.stdin, process.stdout);
const otp = sent.otp ?? (await terminal.question("The code that was texted to you: "));
headers.Authorization = `Bearer ${(await post("auth/verify-otp", { mobile, otp })).access_token}`;
const room = await post("chatroom/", {});
headers["Idempotency-Key"] = crypto.randomUUID(); // What is sent again with it is done once.
const { data } = await post(`message/chatroom/${room.id}/message`, { prompt });

const fields = {};
while (!/completed|failed|stopped/.test(fields.event)) {
  try {
    const { body } = await call(`message/${data.reply.id}/stream`);
    let rest = "";
    for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop();
      for (const [, name, value] of lines.map((line) => /^(\w*): (.*)|/.exec(line))) {
        fields[name] = value;
        if (name === "data") process.stdout.write(JSON.parse(value).text ?? "");
        if (name === "data") headers["Last-Event-ID"] = fields.id; // It is resumed after this.
      }
    }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // Other than a broken connection.
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}
console.log(fields.event === "reply.completed" ? "" : `\n[${fields.event}]`);
terminal.close();

// A plugin of Nexus in JavaScript. It answers on nexus.plugin.<name> as a NATS
// micro service and adds keywords to the token layer: the words that are longer
// and more frequent than others.
//
//   NATS_URL=nats://127.0.0.1:4222 NEXUS_PLUGIN_KEY=<key> node keywords.mjs
import { connect } from "nats";

const name = process.env.NEXUS_PLUGIN_NAME ?? "keywords";
const version = "1.0.0";

const description = { version, modalities: ["text", "pdf"], layers: ["token"] };

function keywords(text) {
  const counts = new Map();
  for (const word of text.toLowerCase().match(/\p{L}{5,}/gu) ?? []) {
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 10).map(([word]) => word);
}

function answer(call) {
  switch (call.op) {
    case "describe":
      return description;
    case "run":
      return { output: { ...call.baseline, keywords: keywords(call.text ?? "") }, confidence: 0.8 };
    default:
      return { error: `there is no operation ${call.op}` };
  }
}

const nc = await connect({
  servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222",
  token: process.env.NEXUS_PLUGIN_KEY,
  maxReconnectAttempts: -1,
});
const service = await nc.services.add({ name, version, description: "adds keywords to the token layer" });
service.addEndpoint("run", {
  subject: `nexus.plugin.${name}`,
  handler: (err, msg) => {
    if (err) {
      console.error(err);
      return;
    }
    try {
      msg.respond(JSON.stringify(answer(msg.json())));
    } catch (e) {
      msg.respondError(400, e.message.slice(0, 200));
    }
  },
});
await nc.flush();
console.log(`${name} answers`);

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => nc.drain());
}
const gone = await nc.closed();
if (gone) {
  console.error(gone.message);
  process.exitCode = 1;
}

// A real Fluent Forward receiver: acknowledges, and appends each event to a file as a JSON line [tag, time, record],
// where time is [seconds, nanoseconds].
//
//   node receiver.mjs FOLDER_OF_NODE_MODULES PORT FILE [SHARED_KEY USER PASSWORD]
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const [installed, port, file, sharedKey, user, password] = process.argv.slice(2);
const require = createRequire(path.join(path.resolve(installed), "receiver.mjs"));
const { EventTime, FluentServer } = require("@fluent-org/logger");

const security = sharedKey && {
  serverHostname: "receiver.test",
  sharedKey,
  authorize: Boolean(user),
  userDict: user ? { [user]: password } : {},
};
const server = new FluentServer({
  listenOptions: { host: "127.0.0.1", port: Number(port) },
  security,
});

const out = fs.openSync(file, "a");
let lines = [];

// The server acknowledges a message, then emits its entries one by one, all in one turn of the event loop: what is
// written when that turn ends is written before anybody can read the acknowledgement and look into the file.
function write() {
  fs.writeSync(out, lines.join(""));
  lines = [];
}

server.on("entry", (tag, time, record) => {
  const stamp = time instanceof EventTime ? [time.epoch, time.nano] : [Number(time), 0];
  if (lines.length === 0) process.nextTick(write);
  lines.push(JSON.stringify([tag, stamp, record]) + "\n");
});

await server.listen();
console.log(`listening on 127.0.0.1:${server.port}`);
process.on("SIGTERM", () => process.exit(0));

// A real Fluent Forward receiver: acknowledges, and appends each event to a file as a JSON line [tag, time, record],
// where time is [seconds, nanoseconds].
//
//   node receiver.mjs FOLDER_OF_NODE_MODULES PORT FILE [OPTIONS]
//
// OPTIONS is JSON: {"sharedKey": text, "user": text, "password": text, "certificate": file, "key": file,
// "clientAuthority": file}. With a certificate it speaks TLS, with a clientAuthority it wants to see one of its own.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const [installed, port, file, text] = process.argv.slice(2);
const options = JSON.parse(text ?? "{}");
const require = createRequire(path.join(path.resolve(installed), "receiver.mjs"));
const { EventTime, FluentServer } = require("@fluent-org/logger");

const security = options.sharedKey && {
  serverHostname: "receiver.test",
  sharedKey: options.sharedKey,
  authorize: Boolean(options.user),
  userDict: options.user ? { [options.user]: options.password } : {},
};
const tlsOptions = options.certificate && {
  cert: fs.readFileSync(options.certificate),
  key: fs.readFileSync(options.key),
  ...(options.clientAuthority && {
    ca: fs.readFileSync(options.clientAuthority),
    requestCert: true,
    rejectUnauthorized: true,
  }),
  SNICallback: (name, answer) => {
    console.log(`asked for ${name}`);
    answer(null, null);
  },
};
const server = new FluentServer({
  listenOptions: { host: "127.0.0.1", port: Number(port) },
  security,
  tlsOptions,
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
// Who breaks a connection, or is not trusted, must not end the receiver.
process.on("uncaughtException", (error) => console.log(`a connection ended: ${error}`));

await server.listen();
console.log(`listening on 127.0.0.1:${server.port}`);
process.on("SIGTERM", () => process.exit(0));

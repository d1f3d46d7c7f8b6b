// Preloaded into a Node.js server that listens on all addresses and cannot be told otherwise: it listens on loopback.
const net = require("node:net");

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (first, ...rest) {
  if (typeof first === "object" && first !== null && "port" in first) {
    return listen.call(this, { ...first, host: "127.0.0.1" }, ...rest);
  }
  if (Number.isInteger(Number(first))) {
    return listen.call(this, { port: Number(first), host: "127.0.0.1" }, ...rest.filter((each) => typeof each === "function"));
  }
  return listen.call(this, first, ...rest);
};

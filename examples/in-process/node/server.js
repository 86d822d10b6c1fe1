// Says hello to the name in the client's certificate: node server.js PORT FOLDER [--one-way]
"use strict";
const tls = require("node:tls");
const files = require("./files.js");

const [port, folder, ...more] = process.argv.slice(2);
const twoWay = !more.includes("--one-way");
const now = () => files.read(folder, { key: true, roots: twoWay });

const server = tls.createServer({
  ...now(),
  requestCert: twoWay, // ask for one
  rejectUnauthorized: true, // and end the connection when there is none, or not one of ours
  handshakeTimeout: 10_000,
});

server.on("secureConnection", (socket) => {
  let said = "";
  socket.setTimeout(10_000, () => socket.destroy());
  socket.on("error", (error) => socket.writableEnded || refused(socket, error)); // unheard, it would end the program
  socket.on("data", (chunk) => {
    said += chunk;
    if (said.includes("\n")) socket.end(`hello ${nameOf(socket) ?? "nobody"}\n`);
    else if (said.length > 1000) socket.destroy();
  });
});
server.on("tlsClientError", (error, socket) => refused(socket, error));

files.watch(folder, () => {
  try {
    server.setSecureContext(now());
  } catch (error) {
    console.error(`the certificates stay as they were: ${error.message}`);
  }
});

server.listen(Number(port), "127.0.0.1");

// The first DNS name. A name with a comma in it stands in quotes: to split at commas would make several of it.
function nameOf(socket) {
  const names = socket.getPeerX509Certificate()?.subjectAltName ?? "";
  const each = [...names.matchAll(/([^:]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/gy)];
  return each.find(([, kind]) => kind === "DNS")?.[2];
}

function refused(socket, error) {
  console.error(`refused: ${error.reason ?? error.message}`);
  socket.destroy();
}

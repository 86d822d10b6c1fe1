// Prints what the server answers: node client.js PORT FOLDER [--one-way] [--loop]
"use strict";
const tls = require("node:tls");
const files = require("./files.js");

const [port, folder, ...more] = process.argv.slice(2);
const now = () => files.read(folder, { key: !more.includes("--one-way"), roots: true });

function ask() {
  return new Promise((resolve, reject) => {
    let answer = "";
    // rejectUnauthorized is true, and checkServerIdentity compares `servername`: both are left as they are.
    const socket = tls.connect({ ...now(), host: "localhost", family: 4, port: Number(port), servername: "localhost" });
    socket.setTimeout(10_000, () => socket.destroy(new Error("no answer within 10 s")));
    socket.on("secureConnect", () => socket.write("hello\n"));
    socket.on("data", (chunk) => (answer += chunk));
    socket.on("error", reject);
    socket.on("close", () => {
      // In TLS 1.3 a server that does not take our certificate says so only now.
      if (answer.endsWith("\n")) resolve(answer);
      else reject(new Error("the server left"));
    });
  });
}

async function main() {
  do {
    process.stdout.write(await ask());
    await new Promise((resolve) => setTimeout(resolve, 50));
  } while (more.includes("--loop"));
}

main().catch((error) => {
  console.error(`refused: ${error.reason ?? error.message}`);
  process.exitCode = 1;
});

// Key, chain and roots of a folder, as options for node:tls.
"use strict";
const fs = require("node:fs");
const path = require("node:path");

// Everything that makes a secure context, always whole: what is left out falls back to Node's defaults, such as the
// system's roots. Throws when a file is not there.
exports.read = (folder, { key, roots }) => {
  const own = key && fs.readFileSync(path.join(folder, "identity.pem")); // once: key and chain are of the same moment
  const ca = roots && fs.readFileSync(path.join(folder, "roots.pem"));
  return { minVersion: "TLSv1.3", ...(key && { key: own, cert: own }), ...(roots && { ca }) };
};

// Calls back after a file was changed, or another took its place: fs.watch would go on watching the one that is gone.
exports.watch = (folder, changed) => {
  for (const name of ["identity.pem", "roots.pem"]) {
    fs.watchFile(path.join(folder, name), { interval: 500 }, changed);
  }
};

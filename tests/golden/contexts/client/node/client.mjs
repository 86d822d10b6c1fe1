// The TLS context client.
import fs from "node:fs";
import tls from "node:tls";

// Options for tls.createSecureContext. The files are read at each call.
function options() {
  return {
    minVersion: "TLSv1.2",
    maxVersion: "TLSv1.3",
    ca: fs.readFileSync("/etc/shop/roots.pem"),
  };
}

export function secureContext() {
  return tls.createSecureContext(options());
}

// For tls.connect, https.request and an https.Agent.
export function client() {
  return {
    ...options(),
  };
}

// The TLS context machine.
import fs from "node:fs";
import tls from "node:tls";

// Options for tls.createSecureContext. The files are read at each call.
function options() {
  return {
    minVersion: "TLSv1.2",
    maxVersion: "TLSv1.3",
    key: fs.readFileSync("/etc/shop/orders.pem"),
    cert: fs.readFileSync("/etc/shop/orders.pem"),
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

// For tls.createServer, https.createServer and http2.createSecureServer.
export function server() {
  return {
    ...options(),
  };
}

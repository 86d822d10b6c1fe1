// The TLS context pem.
import fs from "node:fs";
import tls from "node:tls";

// The first line of a file.
const firstLine = (path) => fs.readFileSync(path, "utf8").split(/\r?\n/)[0];

// Options for tls.createSecureContext. The files are read at each call.
function options() {
  return {
    minVersion: "TLSv1.2",
    maxVersion: "TLSv1.3",
    ciphers: "ECDHE-ECDSA-AES256-GCM-SHA384:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256",
    key: fs.readFileSync("/etc/shop/orders.key"),
    cert: fs.readFileSync("/etc/shop/orders.crt"),
    passphrase: firstLine("/etc/shop/orders.pass"),
    ca: fs.readFileSync("/etc/shop/roots.pem"),
    crl: [fs.readFileSync("/etc/shop/roots.crl")],
  };
}

export function secureContext() {
  return tls.createSecureContext(options());
}

// For tls.connect, https.request and an https.Agent.
export function client() {
  return {
    ...options(),
    ALPNProtocols: ["h2", "http/1.1"],
  };
}

// For tls.createServer, https.createServer and http2.createSecureServer.
export function server() {
  return {
    ...options(),
    ALPNProtocols: ["h2", "http/1.1"],
    requestCert: true,
    rejectUnauthorized: false,
  };
}

// The TLS context agent.
import fs from "node:fs";
import tls from "node:tls";

// Options for tls.createSecureContext. The files are read at each call.
function options() {
  return {
    minVersion: "TLSv1.3",
    maxVersion: "TLSv1.3",
    key: fs.readFileSync(process.env.HANDSEL_IDENTITY + "/identity.key"),
    cert: fs.readFileSync(process.env.HANDSEL_IDENTITY + "/identity.crt"),
    ca: fs.readFileSync(process.env.HANDSEL_ROOTS),
  };
}

export function secureContext() {
  return tls.createSecureContext(options());
}

const expected = new Set(["DNS:billing.shop.internal"]);

// Whether a peer's certificate has one of the names that are expected; returns an error if not.
export function checkPeer(certificate) {
  const names = (certificate.subjectaltname ?? "").split(", ");
  return names.some((each) => expected.has(each.startsWith("DNS:") ? `DNS:${each.slice(4).toLowerCase()}` : each))
    ? undefined
    : new Error("the peer has none of the names that are expected");
}

// For tls.connect, https.request and an https.Agent.
export function client() {
  return {
    ...options(),
    checkServerIdentity: (_host, certificate) => checkPeer(certificate),
  };
}

// For tls.createServer, https.createServer and http2.createSecureServer.
export function server() {
  return {
    ...options(),
    requestCert: true,
    rejectUnauthorized: true,
  };
}

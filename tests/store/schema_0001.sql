-- The schema of the first release, as its own code wrote it.
CREATE TABLE journal (
 number INTEGER NOT NULL,
 entry TEXT NOT NULL,
 hash VARCHAR(64) NOT NULL,
 PRIMARY KEY (number)
);
CREATE TABLE tickets (
 ticket_id TEXT NOT NULL,
 derived_key BLOB NOT NULL,
 services TEXT NOT NULL,
 expires FLOAT NOT NULL,
 redeemed BOOLEAN NOT NULL,
 PRIMARY KEY (ticket_id)
);
CREATE TABLE hosts (
 agent_id TEXT NOT NULL,
 name TEXT NOT NULL,
 services TEXT NOT NULL,
 joined FLOAT NOT NULL,
 PRIMARY KEY (agent_id)
);
CREATE TABLE certificates (
 serial TEXT NOT NULL,
 identity TEXT NOT NULL,
 not_before FLOAT NOT NULL,
 not_after FLOAT NOT NULL,
 requested_by TEXT NOT NULL,
 state TEXT NOT NULL,
 der BLOB,
 PRIMARY KEY (serial)
);
CREATE INDEX ix_certificates_identity ON certificates (identity);
CREATE TABLE publications (
 host TEXT NOT NULL,
 kind TEXT NOT NULL,
 "key" TEXT NOT NULL,
 sequence INTEGER NOT NULL,
 body BLOB NOT NULL,
 PRIMARY KEY (host, kind, "key"),
 UNIQUE (sequence)
);
CREATE TABLE places (
 host TEXT NOT NULL,
 service TEXT NOT NULL,
 report BLOB NOT NULL,
 PRIMARY KEY (host, service)
);
PRAGMA user_version = 1;

//! The session in the browser: record, seal, key ring, chunks, cookies. Never logs, never talks to the network.

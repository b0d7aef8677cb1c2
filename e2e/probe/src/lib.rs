//! A prober for pods: it echoes on ports, opens connections on a schedule, and counts what gets through.
//!
//! One process does it all and is meant to be the only one of its container: `bulkhead-probe agent`. Whoever
//! wants something from it runs `bulkhead-probe ask` in the same container, which hands one [`message::Request`] a
//! line over a Unix socket, so that neither policies nor routes decide whether the prober can be asked. Everything is bounded:
//! targets, connections in flight, what is remembered, and the life of the process.

pub mod agent;
pub mod args;
pub mod ask;
pub mod clock;
pub mod dial;
pub mod latency;
pub mod message;
pub mod name;
#[cfg(feature = "client")]
pub mod pod;
pub mod schedule;
pub mod series;
pub mod serve;
pub mod stall;

/// Where the agent listens unless told otherwise.
pub const SOCKET: &str = "/run/bulkhead-probe/socket";

/// How long a connection may take unless told otherwise: less than the second after which the kernel repeats a lost
/// SYN, so that a packet which a policy dropped is never made up for by its repetition.
pub const TIMEOUT_MS: u64 = 900;

/// How long an answer may take where probes go on for long: a server on a busy machine is late, not cut off, and what
/// a policy cuts stays unanswered. Nobody repeats a datagram, so one that was dropped stays lost.
pub const ANSWER_MS: u64 = 4_000;

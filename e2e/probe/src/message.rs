//! What the agent is asked and what it answers, one JSON object a line.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::series::Summary;

/// The transport of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Protocol {
    /// A connection, one exchange on it, its end.
    #[serde(rename = "TCP")]
    Tcp,
    /// One datagram and its answer.
    #[serde(rename = "UDP")]
    Udp,
}

/// Where a probe goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// How answers name it; unique in a request.
    pub id: String,
    /// Address and port, as the packets carry them.
    pub address: SocketAddr,
    /// Transport.
    pub protocol: Protocol,
    /// One long-lived connection with an exchange at each beat, instead of a fresh one each time. TCP only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// What is said once there is a connection.
    #[serde(default, skip_serializing_if = "Speech::is_echo")]
    pub speech: Speech,
}

/// What a probe says, and takes for an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Speech {
    /// A text that must come back: to other probers.
    #[default]
    Echo,
    /// A question for the address of the API server's Service, which any cluster DNS answers.
    Dns,
    /// Nothing: a TCP connection is enough. For servers that speak a protocol of their own.
    Connect,
}

impl Speech {
    // Serde hands it over by reference.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    fn is_echo(&self) -> bool {
        *self == Self::Echo
    }
}

/// Targets that are probed equally often.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The targets.
    pub targets: Vec<Target>,
    /// Time between two probes of a target.
    pub interval_ms: u64,
}

/// What the agent can be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Request {
    /// Probes each target now, at most `attempts` times until it gets through.
    Once {
        /// The targets.
        targets: Vec<Target>,
        /// How often a target that does not answer is tried.
        attempts: u32,
        /// How long each attempt may take.
        timeout_ms: u64,
    },
    /// Begins to probe each target again and again, instead of what ran before.
    Start {
        /// The targets, by how often they are probed.
        groups: Vec<Group>,
        /// How long a connection may take to come about.
        timeout_ms: u64,
        /// How long the answer may take once there is a connection, and that to a datagram; `timeout_ms` if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer_ms: Option<u64>,
        /// After this time it stops by itself.
        max_seconds: u64,
    },
    /// What was counted since the last start.
    Report {},
    /// The same, and no probe from now on. Probes under way are waited for.
    Stop {},
    /// The time of this clock.
    Clock {},
}

/// What the agent answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reply {
    /// To [`Request::Once`]: what became of each target.
    Once(BTreeMap<String, Outcome>),
    /// To [`Request::Start`]: how many targets there are.
    Started(usize),
    /// To [`Request::Report`] and [`Request::Stop`].
    Report(BTreeMap<String, Summary>),
    /// To [`Request::Clock`]: microseconds since the epoch.
    Clock(u64),
    /// The request cannot be carried out.
    Error(String),
}

/// What became of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What the last attempt ended with; nothing if it got through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// How many attempts were made.
    pub attempts: u32,
    /// How long the last attempt took, in microseconds.
    pub took_us: u64,
}

impl Outcome {
    /// Whether it got through.
    pub fn open(&self) -> bool {
        self.failure.is_none()
    }
}

/// Why a probe failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Failure {
    /// No connection came about in time: what a dropped packet looks like.
    Timeout,
    /// No answer came to a datagram in time: it was dropped, or the server had no time.
    Unanswered,
    /// The connection stood, and no answer came on it in time: the server had no time, or an established connection
    /// is dropped.
    Silent,
    /// Nobody listens there, or something rejects instead of dropping.
    Refused,
    /// The connection was reset or ended before the answer.
    Broken,
    /// No route or another error of the network.
    Unreachable,
    /// The answer is not what was sent.
    Garbled,
    /// This end proves nothing: no port or descriptor was left, or the process itself was not running meanwhile.
    Local,
}

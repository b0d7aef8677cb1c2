//! Exact, explainable Kubernetes network policy semantics.
//!
//! Pure: no clock, no I/O, no Kubernetes client. Values go in, answers come out.
//!
//! - [`v1`] reads and writes the API's shape of a NetworkPolicy;
//! - [`verdict`] judges one connection and names the rules that decide;
//! - [`tiers`] puts the administrator's policies before and after NetworkPolicy;
//! - [`services`] finds the pods and ports behind a Service, [`well_known`] the ends behind parts of the
//!   cluster that no policy names;
//! - [`effect`] judges writes: what a set of object versions guarantees however they are mixed, what a write
//!   takes away or adds, and which part of required connectivity is not guaranteed;
//! - [`engine`] answers for a whole cluster at once, for the difference of two states, and for a cluster that
//!   changes, event by event;
//! - [`lint`] finds mistakes in valid policies.
//!
//! Answers about rules come from one place, so they agree with each other. What the API leaves open is
//! decided by a [`Dialect`]; what cannot be decided is said to be unknown.

pub mod address;
pub mod dialect;
pub mod effect;
pub mod engine;
pub mod family;
mod flows;
pub mod interval;
pub mod labels;
pub mod lint;
mod lower;
pub mod policy;
mod pool;
pub mod ports;
mod region;
pub mod selector;
pub mod services;
pub mod tiers;
pub mod v1;
pub mod verdict;
pub mod well_known;
pub mod world;

pub use address::AddressSet;
pub use dialect::{Dialect, EndPort, Established, HostSource, NamedPorts, OwnNode};
pub use effect::{Change, Effect, Window, Write, WriteEffect};
pub use engine::Cluster;
pub use family::Family;
pub use flows::{Channel, Flows};
pub use ipnet::IpNet;
pub use labels::{Labels, NAMESPACE_NAME_LABEL};
pub use lower::Unknown;
pub use policy::{Direction, Peer, Policy, Port, PortRule, Rule};
pub use pool::Pool;
pub use ports::{PortSet, Protocol};
pub use region::Region;
pub use selector::{Operator, Requirement, Selector};
pub use verdict::{Connection, Decision, Traffic, Verdict, allowed, connection};
pub use world::{Endpoint, NamedPort, Node, Pod, PodState, World};

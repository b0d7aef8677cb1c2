//! The whole cluster at once: who can reach whom, without ever looking at a pair.
//!
//! Pods that no policy can tell apart form a *class*. Each distinct set of peers is evaluated once against the
//! classes; a rule then says "these classes, towards this set, on these ports". The answer for the cluster is
//! the join of what egress rules and what ingress rules say, as *blocks*: sources × destinations × ports.
//! Pairs are only written out for whoever asks.

mod address;
mod area;
mod cluster;
mod coverage;
mod diff;
mod ends;
mod index;
mod join;
mod live;
mod resolve;
mod rules;
mod stages;

pub use cluster::{Cluster, State};
pub use coverage::{Counts, Cover, Coverage};
pub use diff::{Changed, Diff};
pub use ends::{EndId, EndSet, Ends, What};
pub use join::Block;
pub use live::{Event, Live};

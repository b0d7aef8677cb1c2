//! One watch per kind into slim types, indexes, and what was seen when.

pub mod definitions;
pub mod fields;
pub mod history;
#[cfg(test)]
mod history_tests;
pub mod kind;
pub mod kinds;
pub mod objects;
pub mod operands;
pub mod policy;
pub mod watch;
pub mod world;

pub use history::History;
pub use policy::ObservedPolicy;
pub use world::{Dirty, World};

/// A moment on this process's monotonic clock, as time since the process started. Never wall-clock time.
pub type Moment = std::time::Duration;

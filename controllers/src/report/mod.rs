//! Status, conditions, events and metrics. What to say is computed here, purely; `apply` writes it.

pub mod cluster;
pub mod events;
pub mod metrics;
pub mod namespace;
#[cfg(test)]
mod namespace_tests;
pub mod operand;

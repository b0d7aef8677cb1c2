//! The only writer. Carries out one planned step, after planning it again from live reads where it matters.

mod cluster;
mod error;
pub(crate) mod fault;
pub mod labels;
mod live;
mod namespace;
pub mod operand;
pub mod policies;
mod reads;

pub use cluster::ClusterWriter;
pub use error::ApplyError;
pub use labels::namespace_keys;
pub use namespace::{Executor, Outcome, Written};
pub use operand::OperandExecutor;

//! From a snapshot to what each namespace should hold. Pure: no I/O, no clock.

pub mod config;
pub mod mode;
pub mod platform;
pub mod render;
pub mod selector;
pub mod set;
#[cfg(test)]
mod tests;
pub mod validate;

pub use config::{Carriers, Configuration, Problem};
pub use mode::{Decision, OpenReason};
pub use platform::{Dns, Platform};
pub use render::{Role, Target};
pub use set::RestrictiveSet;

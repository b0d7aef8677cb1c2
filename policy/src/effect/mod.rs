//! What writes do, judged under mixed views.
//!
//! A network plugin learns about every object separately, so for a while each object may still be seen at any
//! version that it had during the last settle time. A [`Window`] holds those versions; questions about it are
//! answered for *every* mix of them.
//!
//! For a pod, a direction and a connection:
//! - it is **guaranteed** (allowed in every mix) exactly when some object allows it in all its versions, or no
//!   object has a version that isolates the pod without allowing it. Otherwise a mix denies it: take from each
//!   object a version that does not allow it, and from one of them the version that isolates;
//! - it is **possible** (allowed in some mix) exactly when some version of some object allows it, or every
//!   object has a version that does not isolate the pod.
//!
//! [`analyse`] and [`safe_order`] do the same for whole sequences of writes.
//!
//! All of this looks at pods that the caller names. A pod that does not exist yet is judged by passing what it
//! will look like, for example a pod built from a workload's template.

mod order;
mod window;
mod write;

pub use order::{Analysis, Break, Step, analyse, safe_order};
pub use window::{Versions, Window};
pub use write::{Change, Effect, Write, WriteEffect, effect_of_write};

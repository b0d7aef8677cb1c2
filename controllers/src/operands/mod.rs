//! The policies of operators that are not part of the platform: SPIRE, cert-manager, external-secrets.
//!
//! Pure: no I/O, no clock. Objects that somebody read become [`Facts`], facts and a spec become a [`Bundle`],
//! and a bundle beside what stands becomes ordered writes. Facts: operands.md.

pub mod bundles;
pub mod discover;
pub mod entries;
pub mod facts;
pub mod foreign;
pub mod grpc;
pub mod markers;
pub mod namespaces;
pub mod order;
pub mod plan;
pub mod reach;
#[cfg(test)]
mod tests;
pub mod uncovered;

pub use bundles::{Bundle, BundlePolicy, Context, Role};
pub use discover::{Objects, Source, discover};
pub use facts::{Facts, Warning};

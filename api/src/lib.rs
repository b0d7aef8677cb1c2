//! Kinds, catalog schema and condition vocabulary of Bulkhead.
//!
//! This crate has no client and does no I/O beyond parsing text that it is handed. Everything that an
//! administrator or an operator team writes or reads is declared here once: the custom resource
//! definitions under `manifests/crds` and the API reference are generated from these types.

pub mod catalog;
pub mod conditions;
pub mod crds;
pub mod isolation;
pub mod namespace;
pub mod network;
pub mod operand;
pub mod schema;
pub mod server;
pub mod switch;
pub mod vocabulary;
pub mod yaml;

pub use catalog::{Catalog, CatalogEntry};
pub use isolation::SystemIsolation;
pub use namespace::SystemNamespace;
pub use operand::OperandNetworkPolicy;
pub use server::SystemNetworkPolicy;
pub use switch::SystemNetworkPolicyConfig;

/// API group of the kinds that this project owns. The group has other owners' kinds too.
pub const GROUP: &str = "network.operator.openshift.io";
/// Version under which our kinds are served.
pub const VERSION: &str = "v1alpha1";

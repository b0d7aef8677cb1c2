//! The traps of NetworkPolicy v1 in which analyzers and authors get caught, numbered as in the list of known
//! traps that the project keeps.

#[path = "../common/mod.rs"]
mod common;

mod addresses;
mod ovn_kubernetes;
mod pods;
mod ports;
mod reading;
mod rules;

const CLOSED: &str = "{podSelector: {}, policyTypes: [Ingress]}";

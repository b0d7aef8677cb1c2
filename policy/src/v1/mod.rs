//! The API's shape of a NetworkPolicy v1: reading with the API server's defaults and validation, and writing.

mod parse;
mod render;
mod schema;

pub(crate) use parse::{Errors, network, selector};
pub use parse::{FieldError, Invalid, parse, parse_rules};
pub use schema::{
    IntOrString, IpBlock, LabelSelector, LabelSelectorRequirement, NetworkPolicyEgressRule,
    NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};

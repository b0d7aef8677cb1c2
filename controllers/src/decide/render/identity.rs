//! How policies of ours are named.

use bulkhead_api::vocabulary as names;
use bulkhead_policy::{Selector, v1};
use sha2::{Digest, Sha256};

/// A policy is identified by server, pod selector and policy types, which are hashed into its name and never
/// changed in place; a server that changes its selector gets a new policy beside the old one.
pub(super) fn identity(prefix: &str, server: &str, pods: &Selector, types: &str) -> String {
    let spec = v1::LabelSelector::from(pods);
    let text = format!(
        "{server}\n{}\n{types}",
        serde_json::to_string(&spec).unwrap_or_default()
    );
    let hash = Sha256::digest(text.as_bytes());
    let short = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    format!("{}{prefix}{server}-{short:08x}", names::POLICY_PREFIX)
}

//! Questions to the policy engine about one policy.

use std::sync::Arc;

use bulkhead_policy::{Channel, Direction, Pod, Policy, Protocol, Window, World, verdict};

/// Whether a policy selects a pod and lets somebody in, or lets it out to somebody, on a TCP port.
pub fn opens(world: &World, policy: &Arc<Policy>, direction: Direction, pod: &Pod, port: u16) -> bool {
    if !verdict::isolates(policy, direction, pod) {
        return false;
    }
    let on_port =
        |channel: &Channel| matches!(channel, Channel::Ports(all) if all.contains(Protocol::Tcp, port));
    let flows = Window::settled([policy.clone()]).guaranteed_flows(world, pod, direction);
    flows.iter().any(|flow| on_port(&flow.channel))
}

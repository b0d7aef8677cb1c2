//! Any text is read as each kind of policy or refused, and what was read can be judged, checked and written again.
#![no_main]

use bulkhead_policy::lint::{Subject, Surroundings, lint, lint_tiers};
use bulkhead_policy::tiers::{AdminSpec, ClusterSpec, parse_admin, parse_baseline, parse_cluster};
use bulkhead_policy::v1::{NetworkPolicySpec, parse};
use bulkhead_policy::{Cluster, Labels, Pod, World};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let pods = [
        Pod::new("home", "a", Labels::from([("a", "x")])),
        Pod::new("away", "b", Labels::default()),
    ];
    let world = World::default();
    let around = Surroundings {
        world: &world,
        pods: &pods,
        services: &[],
    };
    if let Ok(spec) = serde_yaml::from_str::<NetworkPolicySpec>(text)
        && let Ok(policy) = parse("home", "p", &spec)
    {
        let cluster = Cluster::new(&world, &pods, &[&policy]);
        assert_eq!(cluster.blocks().count(), cluster.len());
        lint(
            around,
            &[Subject {
                spec: &spec,
                policy: &policy,
            }],
        );
        let again = parse("home", "p", &NetworkPolicySpec::from(&policy));
        assert_eq!(again.as_ref(), Ok(&policy));
    }
    if let Ok(spec) = serde_yaml::from_str::<ClusterSpec>(text)
        && let Ok(policy) = parse_cluster("c", &spec)
    {
        lint_tiers(around, &[policy]);
    }
    if let Ok(spec) = serde_yaml::from_str::<AdminSpec>(text) {
        let _ = parse_admin("a", &spec);
        let _ = parse_baseline("b", &spec);
    }
});

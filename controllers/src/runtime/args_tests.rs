use super::*;

fn parse(flags: &[&str]) -> Result<Args, clap::Error> {
    Args::try_from_command_line(["bulkhead-operator"].iter().chain(flags))
}

fn refusal(flags: &[&str]) -> String {
    parse(flags).expect_err("must be refused").to_string()
}

#[test]
fn defaults_are_the_documented_ones() {
    let args = parse(&[]).unwrap();
    assert_eq!(args.behaviour.settle_time, Duration::from_secs(30));
    assert_eq!(args.output.metrics_address.to_string(), "0.0.0.0:8080");
    assert_eq!(args.election.timing().lease_duration, Duration::from_secs(15));
    assert_eq!(args.election.timing().renew_deadline, Duration::from_secs(10));
    assert_eq!(args.election.timing().retry_period, Duration::from_secs(2));
    assert_eq!(args.election.name, "bulkhead-operator");
    assert_eq!(args.cluster.max_concurrent_writes, 32);
    assert_eq!(args.cluster.request_timeout, Duration::from_secs(10));
    assert!(!args.behaviour.read_unsupported_overrides);
}

#[test]
fn durations_are_read_as_people_write_them() {
    for (text, millis) in [
        ("500ms", 500),
        ("2m", 120_000),
        ("1m30s", 90_000),
        ("1h", 3_600_000),
    ] {
        let args = parse(&["--settle-time", text]).unwrap();
        assert_eq!(
            args.behaviour.settle_time,
            Duration::from_millis(millis),
            "{text}"
        );
    }
}

#[test]
fn every_flag_has_its_twin_in_the_environment() {
    for flag in Args::command().get_arguments() {
        let Some(long) = flag.get_long().filter(|long| !["help", "version"].contains(long)) else {
            continue;
        };
        let twin = format!("BULKHEAD_{}", long.to_uppercase().replace('-', "_"));
        assert_eq!(
            flag.get_env().and_then(|name| name.to_str()),
            Some(twin.as_str()),
            "--{long}"
        );
    }
}

#[test]
fn mistakes_are_named_with_flag_value_and_remedy() {
    let cases: [(&[&str], &[&str]); 10] = [
        (
            &["--settle-time", "soon"],
            &["--settle-time", "soon", "500ms, 30s, 2m"],
        ),
        (&["--settle-time", "30"], &["--settle-time", "500ms, 30s, 2m"]),
        (&["--settle-time=-5s"], &["--settle-time", "negative"]),
        (
            &["--settle-time", "0s"],
            &["--settle-time", "between 100ms and 3600s"],
        ),
        (&["--log-level", "chatty"], &["--log-level", "not a level"]),
        (
            &["--max-concurrent-writes", "0"],
            &["--max-concurrent-writes", "1..=256"],
        ),
        (
            &["--network-plugin", "calico"],
            &["OVNKubernetes", "OpenShiftSDN", "other"],
        ),
        (&["--metrics-address", "8080"], &["--metrics-address", "8080"]),
        (
            &["--catalog-dir", "/does/not/exist"],
            &["--catalog-dir", "not a directory"],
        ),
        (
            &["--leader-election-renew-deadline", "15s"],
            &["renew-deadline", "longer than"],
        ),
    ];
    for (flags, expected) in cases {
        let message = refusal(flags);
        for part in expected {
            assert!(
                message.contains(part),
                "{flags:?} gave:\n{message}\nwithout {part:?}"
            );
        }
    }
}

#[test]
fn unsafe_election_timings_are_refused() {
    let timing = |lease: u64, renew: u64, retry: u64| Timing {
        lease_duration: Duration::from_millis(lease),
        renew_deadline: Duration::from_millis(renew),
        retry_period: Duration::from_millis(retry),
    };
    assert!(timing(15_000, 10_000, 2_000).validate().is_ok());
    assert!(timing(137_000, 107_000, 26_000).validate().is_ok());
    assert!(timing(10_000, 10_000, 2_000).validate().is_err());
    assert!(timing(15_000, 2_400, 2_000).validate().is_err());
    assert!(timing(15_000, 10_000, 0).validate().is_err());
    assert!(timing(900, 600, 100).validate().is_err());
}

#[test]
fn plugin_and_control_plane_names_are_those_of_openshift() {
    let args = parse(&[
        "--network-plugin",
        "OVNKubernetes",
        "--control-plane",
        "in-cluster",
    ])
    .unwrap();
    assert_eq!(args.behaviour.network_plugin, NetworkPlugin::OvnKubernetes);
    assert_eq!(args.behaviour.control_plane, ControlPlane::InCluster);
}

#[test]
fn identities_never_repeat_even_when_a_name_is_given() {
    let args = parse(&["--leader-election-identity", "replica-a"]).unwrap();
    let (one, two) = (args.election.unique_identity(), args.election.unique_identity());
    assert!(one.starts_with("replica-a_"), "{one}");
    assert_ne!(one, two);
}

#[test]
fn the_lease_namespace_falls_back_to_the_operators_own() {
    assert_eq!(
        parse(&[]).unwrap().election.resolved_namespace(),
        DEFAULT_NAMESPACE
    );
    let args = parse(&["--leader-election-namespace", "elsewhere"]).unwrap();
    assert_eq!(args.election.resolved_namespace(), "elsewhere");
}

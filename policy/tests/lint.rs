//! Every check finds its mistake and is silent about the corrected policy.
#![allow(clippy::unwrap_used)] // in helpers of tests a failed unwrap is a failed test

mod common;

use bulkhead_policy::lint::{
    BadSuppression, Check, ServicePort, Subject, Suppression, Surroundings, lint, lint_tiers, suppress,
};
use bulkhead_policy::tiers::{ClusterPolicy, parse_cluster};
use bulkhead_policy::v1::parse;
use bulkhead_policy::{Dialect, Labels, Pod, Policy, Protocol, Selector, World};
use common::scene::{pod, yaml};

fn world() -> World {
    let mut world = World::new(Dialect::ovn_kubernetes());
    let host = [("policy-group.network.openshift.io/host-network", "")];
    world.set_namespace("openshift-host-network", &Labels::from(host));
    world
}

fn pods() -> Vec<Pod> {
    vec![
        pod("home", "web", [("app", "web")]),
        pod("away", "db", [("app", "db")]),
        pod("openshift-dns", "dns", []),
    ]
}

fn services() -> Vec<ServicePort> {
    vec![ServicePort {
        namespace: "away".into(),
        name: "db".into(),
        pods: Selector::from([("app", "db")]),
        protocol: Protocol::Tcp,
        port: 80,
        target: 5432,
    }]
}

/// The ids and fields of the findings about the first of some policies.
fn findings(specs: &[&str]) -> Vec<(&'static str, String)> {
    let specs: Vec<_> = specs.iter().map(|spec| yaml(spec)).collect();
    let policies: Vec<Policy> = specs
        .iter()
        .enumerate()
        .map(|(at, spec)| parse("home", format!("p{at}"), spec).unwrap())
        .collect();
    let subjects: Vec<Subject<'_>> = specs
        .iter()
        .zip(&policies)
        .map(|(spec, policy)| Subject { spec, policy })
        .collect();
    let (world, pods, services) = (world(), pods(), services());
    let around = Surroundings {
        world: &world,
        pods: &pods,
        services: &services,
    };
    let all = lint(around, &subjects)
        .into_iter()
        .filter(|finding| *finding.name == *"p0");
    all.map(|finding| (finding.check.id(), finding.field)).collect()
}

fn ingress(rules: &str) -> String {
    format!("{{podSelector: {{}}, policyTypes: [Ingress], ingress: {rules}}}")
}

fn egress(rules: &str) -> String {
    format!("{{podSelector: {{}}, policyTypes: [Egress], egress: {rules}}}")
}

/// A policy with one mistake, the check that finds it, and where.
fn mistakes() -> Vec<(String, &'static str, &'static str)> {
    let web = "{podSelector: {matchLabels: {app: web}}}";
    let away = "namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: away}}";
    let dns = "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: openshift-dns}}}";
    let host = "namespaceSelector: {matchLabels: {policy-group.network.openshift.io/host-network: ''}}";
    vec![
        (
            "{policyTypes: [Ingress]}".to_owned(),
            "missing-pod-selector",
            "spec.podSelector",
        ),
        (
            "{podSelector: {}}".to_owned(),
            "missing-policy-types",
            "spec.policyTypes",
        ),
        (
            "{podSelector: {}, policyTypes: [Ingress], egress: [{}]}".to_owned(),
            "unused-rules",
            "spec.egress",
        ),
        (
            ingress(&format!("[{{from: [{web}]}}, {{ports: [{{port: 80}}]}}]")),
            "separate-items",
            "spec.ingress",
        ),
        (
            ingress(&format!("[{{from: [{{{away}}}, {web}]}}]")),
            "separate-items",
            "spec.ingress[0].from",
        ),
        (
            ingress("[{ports: [{}]}]"),
            "empty-port",
            "spec.ingress[0].ports[0]",
        ),
        (
            ingress("[{ports: [{port: web}]}]"),
            "named-port",
            "spec.ingress[0].ports[0].port",
        ),
        (
            ingress(&format!("[{{from: [{{{host}, podSelector: {{}}}}]}}]")),
            "host-with-pod-selector",
            "spec.ingress[0].from[0]",
        ),
        (
            egress("[{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]"),
            "ipv4-only",
            "spec.egress[0].to",
        ),
        (
            egress(&format!(
                "[{{to: [{dns}], ports: [{{port: 5353, protocol: UDP}}]}}]"
            )),
            "dns-without-tcp",
            "spec.egress[0].ports",
        ),
        (
            egress(&format!(
                "[{{to: [{dns}], ports: [{{port: 53, protocol: UDP}}, {{port: 53}}]}}]"
            )),
            "dns-port",
            "spec.egress[0].ports",
        ),
        (
            egress("[{ports: [{port: 6443}]}]"),
            "api-port",
            "spec.egress[0].ports",
        ),
        (
            egress(&format!("[{{to: [{{{away}}}], ports: [{{port: 80}}]}}]")),
            "service-port",
            "spec.egress[0].ports",
        ),
        (
            "{podSelector: {matchLabels: {app: none}}, policyTypes: [Ingress]}".to_owned(),
            "selects-nothing",
            "spec.podSelector",
        ),
        (
            ingress("[{from: [{podSelector: {matchLabels: {app: none}}}]}]"),
            "peer-matches-nothing",
            "spec.ingress[0].from[0]",
        ),
        (
            ingress(&format!(
                "[{{ports: [{{port: 80, endPort: 90}}]}}, {{from: [{web}], ports: [{{port: 85}}]}}]"
            )),
            "redundant-rule",
            "spec.ingress[1]",
        ),
    ]
}

#[test]
fn each_check_finds_its_mistake_and_nothing_else() {
    let cases = mistakes();
    for (spec, id, field) in &cases {
        assert_eq!(findings(&[spec]), [(*id, (*field).to_owned())], "{spec}");
    }
    let seen: Vec<&str> = cases.iter().map(|case| case.1).collect();
    let unseen: Vec<&str> = Check::ALL
        .iter()
        .map(|check| check.id())
        .filter(|id| !seen.contains(id))
        .collect();
    let elsewhere = [
        "mutable-name-label",
        "block-of-pods",
        "except-reopened",
        "shadowed-rule",
        "equal-priority",
    ];
    assert_eq!(unseen, elsewhere, "they have tests of their own");
}

#[test]
fn a_mutable_name_label_is_found_in_labels_and_expressions() {
    for selector in [
        "{matchLabels: {name: away}}",
        "{matchExpressions: [{key: name, operator: In, values: [away]}]}",
    ] {
        let found = findings(&[&ingress(&format!(
            "[{{from: [{{namespaceSelector: {selector}}}]}}]"
        ))]);
        assert_eq!(
            found[0],
            (
                "mutable-name-label",
                "spec.ingress[0].from[0].namespaceSelector".to_owned()
            )
        );
    }
}

#[test]
fn corrected_policies_are_clean() {
    let host = "namespaceSelector: {matchLabels: {policy-group.network.openshift.io/host-network: ''}}";
    let dns = "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: openshift-dns}}}";
    for spec in [
        ingress(&format!("[{{from: [{{{host}}}], ports: [{{port: 443}}]}}]")),
        ingress("[{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}]}]"),
        egress("[{to: [{ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: '::/0'}}]}]"),
        egress(&format!(
            "[{{to: [{dns}], ports: [{{port: 5353, protocol: UDP}}, {{port: 5353}}]}}]"
        )),
        egress(
            "[{to: [{namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}], ports: [{port: 5432}]}]",
        ),
    ] {
        assert_eq!(findings(&[&spec]), [], "{spec}");
    }
}

#[test]
fn a_rule_that_another_policy_repeats_is_redundant_in_one_of_them_only() {
    let rule = "[{ports: [{port: 80}]}]";
    let narrow =
        format!("{{podSelector: {{matchLabels: {{app: web}}}}, policyTypes: [Ingress], ingress: {rule}}}");
    let wide = ingress(rule);
    let redundant = ("redundant-rule", "spec.ingress[0]".to_owned());
    assert_eq!(findings(&[&narrow, &wide]), [redundant]);
    assert_eq!(findings(&[&wide, &narrow]), []);
    assert_eq!(
        findings(&[&wide, &wide]),
        [],
        "the later name is the redundant one"
    );
}

#[test]
fn a_block_of_pod_addresses_is_found_and_one_of_everything_is_not() {
    let world = world();
    let mut pods = pods();
    pods[1].addresses = vec!["10.0.0.5".parse().unwrap()];
    let found = |cidr: &str| {
        let spec = yaml(&ingress(&format!(
            "[{{from: [{{ipBlock: {{cidr: {cidr}}}}}, {{ipBlock: {{cidr: '::/0'}}}}]}}]"
        )));
        let policy = parse("home", "p", &spec).unwrap();
        let around = Surroundings {
            world: &world,
            pods: &pods,
            services: &[],
        };
        let found = lint(
            around,
            &[Subject {
                spec: &spec,
                policy: &policy,
            }],
        );
        found.into_iter().map(|f| (f.check, f.field)).collect::<Vec<_>>()
    };
    let field = "spec.ingress[0].from[0].ipBlock".to_owned();
    assert_eq!(found("10.0.0.0/24"), [(Check::BlockOfPods, field)]);
    assert_eq!(found("10.0.1.0/24"), []);
    assert_eq!(found("0.0.0.0/0"), []);
}

#[test]
fn an_exception_that_another_rule_opens_again_is_found() {
    let holed = ingress("[{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}]");
    let reopening = ingress("[{from: [{ipBlock: {cidr: 10.1.2.0/24}}]}]");
    let beside = ingress("[{from: [{ipBlock: {cidr: 11.0.0.0/8}}]}]");
    let field = "spec.ingress[0].from[0].ipBlock.except".to_owned();
    assert_eq!(findings(&[&holed, &reopening]), [("except-reopened", field)]);
    assert_eq!(findings(&[&holed, &beside]), []);
}

fn tier(name: &str, priority: u16, rules: &str) -> ClusterPolicy {
    let text = format!("{{tier: Admin, priority: {priority}, subject: {{namespaces: {{}}}}, {rules}}}");
    parse_cluster(name, &serde_yaml::from_str(&text).unwrap()).unwrap()
}

fn tier_findings(policies: &[ClusterPolicy]) -> Vec<(String, &'static str, String)> {
    let (world, pods) = (world(), pods());
    let around = Surroundings {
        world: &world,
        pods: &pods,
        services: &[],
    };
    let found = lint_tiers(around, policies).into_iter();
    found
        .map(|f| (f.name.to_string(), f.check.id(), f.field))
        .collect()
}

#[test]
fn a_cluster_rule_that_never_decides_is_shadowed() {
    let deny_all = "ingress: [{action: Deny, from: [{namespaces: {}}]}]";
    let tcp = "{action: Accept, from: [{namespaces: {matchLabels: {a: b}}}], protocols: [{tcp: {}}]}";
    let late = tier(
        "late",
        9,
        &format!("ingress: [{{action: Deny, from: [{{namespaces: {{}}}}]}}, {tcp}]"),
    );
    let found = |policies: &[ClusterPolicy]| {
        let mut found = tier_findings(policies);
        // No namespace here has the label a.
        found.retain(|(_, check, _)| *check != "peer-matches-nothing");
        found
    };
    let shadowed = |name: &str, at: usize| (name.to_owned(), "shadowed-rule", format!("spec.ingress[{at}]"));
    assert_eq!(found(std::slice::from_ref(&late)), [shadowed("late", 1)]);
    let one = tier("one", 9, &format!("ingress: [{tcp}]"));
    assert_eq!(
        found(&[tier("first", 1, deny_all), one.clone()]),
        [shadowed("one", 0)]
    );
    assert_eq!(found(&[tier("after", 10, deny_all), one.clone()]), []);
    let narrow = "ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{udp: {}}]}]";
    assert_eq!(found(&[tier("first", 1, narrow), one]), []);
    // What is not known covers nothing.
    let perhaps =
        "egress: [{action: Deny, to: [{nodes: {matchLabels: {a: b}}}]}, {action: Accept, to: [{nodes: {}}]}]";
    assert_eq!(found(&[tier("nodes", 1, perhaps)]), []);
}

#[test]
fn a_peer_of_a_cluster_policy_that_selects_no_pod_is_found() {
    let rules = "egress: [{action: Deny, to: [{namespaces: {}}, {pods: {podSelector: {matchLabels: {a: b}}}}, {networks: [10.0.0.0/8]}]}]";
    let field = "spec.egress[0].to[1]".to_owned();
    assert_eq!(
        tier_findings(&[tier("x", 1, rules)]),
        [("x".to_owned(), "peer-matches-nothing", field)]
    );
}

#[test]
fn cluster_policies_of_one_priority_that_disagree_are_found_once() {
    let rule = |action: &str, port: u16| {
        format!(
            "ingress: [{{action: {action}, from: [{{namespaces: {{}}}}], protocols: [{{tcp: {{destinationPort: {{number: {port}}}}}}}]}}]"
        )
    };
    let (a, b) = (tier("a", 5, &rule("Accept", 80)), tier("b", 5, &rule("Deny", 80)));
    let expected = ("b".to_owned(), "equal-priority", "spec.ingress[0]".to_owned());
    assert_eq!(
        tier_findings(&[a.clone(), b.clone()]),
        std::slice::from_ref(&expected)
    );
    assert_eq!(tier_findings(&[b, a.clone()]), [expected]);
    assert_eq!(tier_findings(&[a.clone(), tier("c", 5, &rule("Deny", 81))]), []);
    assert_eq!(tier_findings(&[a.clone(), tier("c", 5, &rule("Accept", 80))]), []);
    assert_eq!(tier_findings(&[a, tier("c", 6, &rule("Deny", 79))]), []);
}

#[test]
fn suppressions_need_a_known_check_and_a_reason_and_are_told_when_they_are_idle() {
    let text = "named-port: the agent is old; \n empty-port: wanted";
    let all = Suppression::parse(text).unwrap();
    assert_eq!(
        all[0],
        Suppression {
            check: Check::NamedPort,
            reason: "the agent is old".into()
        }
    );
    let (world, pods) = (world(), pods());
    let spec = yaml(&ingress("[{ports: [{port: web}]}]"));
    let policy = parse("home", "p", &spec).unwrap();
    let around = Surroundings {
        world: &world,
        pods: &pods,
        services: &[],
    };
    let found = lint(
        around,
        &[Subject {
            spec: &spec,
            policy: &policy,
        }],
    );
    let (stand, accepted, idle) = suppress(found, &all);
    assert_eq!(stand, []);
    assert_eq!(
        accepted
            .iter()
            .map(|(f, why)| (f.check, *why))
            .collect::<Vec<_>>(),
        [(Check::NamedPort, "the agent is old")]
    );
    assert_eq!(idle, [&all[1]]);
    assert_eq!(
        Suppression::parse("named-port").unwrap_err(),
        BadSuppression::NoReason("named-port")
    );
    assert_eq!(
        Suppression::parse("nonsense: x").unwrap_err(),
        BadSuppression::UnknownCheck("nonsense".into())
    );
}

//! What all bundles have in common.

use std::sync::Arc;

use bulkhead_api::operand::Operand::{self, CertManager, ExternalSecrets, ZeroTrustWorkloadIdentityManager};
use bulkhead_policy::{Connection, Endpoint, Labels, Pod, Policy, Traffic, Verdict, connection};
use serde_json::json;

use super::support::*;
use crate::operands::{Role, Source, bundles, foreign, order};

fn server() -> Pod {
    pod(ZTWIM, &[(NAME, "spire-server")])
}

fn webhook() -> Pod {
    pod("cert-manager", &[("app", "webhook")])
}

fn operator() -> Pod {
    pod(
        "external-secrets-operator",
        &[("app", "external-secrets-operator")],
    )
}

fn verdict(policies: &[Arc<Policy>], from: &Endpoint<'_>, to: &Pod, traffic: Traffic) -> Verdict {
    let policies = policies.iter().map(|p| &**p).collect::<Vec<&Policy>>();
    let answer: Connection<'_> = connection(
        &world(),
        policies.iter().copied(),
        from,
        &Endpoint::Pod(to),
        traffic,
    );
    answer.verdict
}

#[test]
fn g1_monitoring_is_known_by_its_immutable_name_and_by_the_proposals_label() {
    let table = case(ZeroTrustWorkloadIdentityManager).table();
    assert!(
        table.ingress(&server(), "openshift-monitoring").contains("9402"),
        "by name alone"
    );
    assert!(
        table.ingress(&server(), "labelled").contains("9402"),
        "by the label alone"
    );
    assert!(!table.ingress(&server(), "stranger").contains("9402"));
    let named = json!({"operand": "ZeroTrustWorkloadIdentityManager", "monitoringNamespaces": ["stranger"]});
    let table = case(ZeroTrustWorkloadIdentityManager).spec(named).table();
    assert!(table.ingress(&server(), "stranger").contains("9402"));
    for other in ["labelled", "openshift-monitoring"] {
        assert!(!table.ingress(&server(), other).contains("9402"), "{other}");
    }
}

#[test]
fn g2_both_monitoring_namespaces_may_scrape() {
    for from in ["openshift-monitoring", "openshift-user-workload-monitoring"] {
        assert!(
            case(ZeroTrustWorkloadIdentityManager)
                .table()
                .ingress(&server(), from)
                .contains("9402")
        );
        assert!(
            case(ExternalSecrets)
                .table()
                .ingress(&operator(), from)
                .contains("8443")
        );
    }
}

#[test]
fn g3_scraping_peers_and_ports_are_one_rule() {
    let table = case(ExternalSecrets).table();
    assert_eq!(
        table.ingress(&operator(), "openshift-monitoring"),
        "TCP/8080,TCP/8443",
        "not every port"
    );
    assert_eq!(table.ingress(&operator(), "stranger"), NOTHING, "not everybody");
}

#[test]
fn g4_the_api_servers_ports_are_discovered_and_6443_stays() {
    let slice = |service: &str, port: u16| json!({"metadata": {"namespace": "default", "labels": {"kubernetes.io/service-name": service}}, "ports": [{"port": port}]});
    let mut case = case(CertManager)
        .with(Source::EndpointSlice, slice("kubernetes", 443))
        .with(Source::EndpointSlice, slice("kubernetes", 8443))
        .with(Source::EndpointSlice, slice("other", 1));
    case.platform.api_ports = vec![443];
    assert_eq!(case.table().out(&webhook(), OUTSIDE), "TCP/443,TCP/6443,TCP/8443");
}

#[test]
fn g5_webhooks_are_open_to_an_api_server_that_nobody_can_select() {
    let table = case(CertManager).table();
    assert!(table.ingress_from_host(&webhook()).contains("TCP/10250"));
    assert!(table.ingress(&webhook(), "stranger").contains("TCP/10250"));
    let named = json!({"operand": "CertManager", "certManager": {"webhookFrom": [{"type": "APIServer"}]}});
    let case = case(CertManager).spec(named);
    assert!(case.table().ingress_from_host(&webhook()).contains("TCP/10250"));
    assert!(
        reasons(&case.bundle()).contains(&"PortOnly"),
        "a fallback that nobody is told of"
    );
}

#[test]
fn g6_the_deny_selects_every_pod_or_known_components() {
    for operand in Operand::ALL {
        let denies = |case: &Case| -> Vec<Arc<Policy>> {
            let bundle = case.bundle();
            bundle
                .policies
                .iter()
                .filter(|p| p.role == Role::Deny)
                .map(|p| p.policy.clone())
                .collect()
        };
        assert!(
            denies(&case(operand)).iter().all(|d| d.pods.is_everything()),
            "{operand:?}"
        );
        let scoped = case(operand).spec(json!({"operand": operand, "denyScope": "Component"}));
        let found = denies(&scoped);
        assert!(
            !found.is_empty() && found.iter().all(|d| !d.pods.is_everything()),
            "{operand:?}"
        );
        for component in scoped.bundle().components {
            let labels = Labels::from([(component.key, component.value)]);
            let covered = found
                .iter()
                .any(|d| d.namespace == component.namespace && d.pods.matches(&labels));
            assert!(covered, "{operand:?}: {} is not denied", component.name);
        }
    }
}

#[test]
fn g7_strangers_in_a_shared_namespace_are_never_isolated() {
    let shared = "openshift-operators";
    let stranger = pod(shared, &[("app", "other")]);
    let eso = case(ExternalSecrets)
        .spec(json!({"operand": "ExternalSecrets", "denyScope": "Namespace", "externalSecrets": {"operatorNamespace": shared}}));
    let cm = case(CertManager)
        .spec(json!({"operand": "CertManager", "certManager": {"operatorNamespace": shared}}));
    let bundles = [eso.bundle(), cm.bundle()];
    let table = Table::of(
        bundles
            .iter()
            .flat_map(|b| b.policies().cloned().collect::<Vec<_>>()),
    );
    assert_eq!(table.ingress(&stranger, "stranger"), "all ports");
    assert_eq!(table.out(&stranger, OUTSIDE), "all ports");
    assert_eq!(
        table.ingress(&pod(shared, &[("app", "external-secrets-operator")]), "stranger"),
        NOTHING
    );
    assert_eq!(
        table.ingress(&pod(shared, &[("name", "cert-manager-operator")]), "stranger"),
        "TCP/8443"
    );
    assert!(
        bundles::collisions(&bundles).is_empty(),
        "two operators in one namespace take each other's names"
    );
}

#[test]
fn g7_nothing_is_written_to_namespaces_that_are_never_written_to() {
    for namespace in ["default", "kube-system"] {
        let object = json!({"metadata": {"name": "default", "namespace": namespace}});
        let bundle = case(CertManager).with(Source::IstioCsr, object).bundle();
        assert!(bundle.policies().all(|p| &*p.namespace != namespace));
        assert!(reasons(&bundle).contains(&"ForbiddenNamespace"));
    }
}

#[test]
fn g8_allows_come_before_the_deny_and_the_deny_goes_before_allows() {
    for operand in Operand::ALL {
        let case = case(operand);
        let wanted = order::wanted(&case.bundle(), &case.spec).unwrap();
        for namespace in case.bundle().namespaces() {
            let place = |phases: &[order::Phase], name: &str| {
                phases.iter().position(|p| p.iter().any(|s| &*s.name == name))
            };
            let into = phases(&world(), &namespace, &[], &wanted);
            let out = phases(&world(), &namespace, &wanted, &[]);
            for (_, allow) in wanted
                .iter()
                .filter(|(r, p)| *r == Role::Allow && p.namespace == namespace)
            {
                assert!(
                    place(&into, &allow.name) < place(&into, "deny-all-traffic"),
                    "{}",
                    allow.name
                );
                assert!(
                    place(&out, &allow.name) > place(&out, "deny-all-traffic"),
                    "{}",
                    allow.name
                );
            }
        }
    }
}

#[test]
fn g9_our_own_namespace_is_never_isolated_as_a_whole() {
    let own = "external-secrets";
    let mut case = case(ExternalSecrets);
    case.objects.own_namespace = Some(own.into());
    let ours = pod(own, &[("app", "bulkhead")]);
    assert_eq!(case.table().ingress(&ours, "stranger"), "all ports");
    assert_eq!(case.table().out(&ours, OUTSIDE), "all ports");
    let controller = pod(own, &[(NAME, "external-secrets")]);
    assert_eq!(case.table().ingress(&controller, "stranger"), NOTHING);
}

#[test]
fn g10_operator_and_operands_in_one_namespace_share_one_deny() {
    for scope in ["Namespace", "Component"] {
        let spec = json!({"operand": "CertManager", "denyScope": scope, "certManager": {"operatorNamespace": "cert-manager"}});
        let case = case(CertManager).spec(spec);
        let mut names = names(&case.bundle(), "cert-manager");
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all, "two objects of one name: {names:?}");
        let table = case.table();
        assert_eq!(
            table.ingress(
                &pod("cert-manager", &[("name", "cert-manager-operator")]),
                "stranger"
            ),
            "TCP/8443"
        );
        assert_eq!(table.ingress(&webhook(), "stranger"), "TCP/9402,TCP/10250");
    }
}

#[test]
fn g11_an_object_of_somebody_else_is_never_taken_for_ours() {
    let theirs = json!({"metadata": {"uid": "1", "labels": {"app.kubernetes.io/managed-by": "bulkhead"},
        "managedFields": [{"manager": "external-secrets-operator", "fieldsV1": {"f:spec": {}}}]}});
    assert!(!foreign::is_ours(&theirs, &["2"]), "a label proves nothing");
    assert!(foreign::is_ours(&theirs, &["1"]));
    let ours = json!({"metadata": {"uid": "3", "managedFields": [{"manager": "bulkhead", "fieldsV1": {"f:spec": {}}}]}});
    assert!(foreign::is_ours(&ours, &[]));
    let status = json!({"metadata": {"uid": "3", "managedFields": [{"manager": "bulkhead", "fieldsV1": {"f:metadata": {}}}]}});
    assert!(!foreign::is_ours(&status, &[]));
}

#[test]
fn g12_icmp_is_outside_the_api_and_stays_undecided() {
    let bundle = case(CertManager).bundle();
    let policies: Vec<Arc<Policy>> = bundle.policies().cloned().collect();
    let from = pod("stranger", &[("app", "curl")]);
    let ping = verdict(&policies, &Endpoint::Pod(&from), &webhook(), Traffic::Other);
    assert!(matches!(ping, Verdict::Unknown(_)), "{ping:?}");
}

#[test]
fn g13_probes_from_the_own_node_need_no_rule() {
    for (operand, to, port) in [
        (ZeroTrustWorkloadIdentityManager, server(), 8080),
        (CertManager, webhook(), 6080),
        (ExternalSecrets, operator(), 8081),
    ] {
        let bundle = case(operand).bundle();
        let policies: Vec<Arc<Policy>> = bundle.policies().cloned().collect();
        let probe = Traffic::Port(bulkhead_policy::Protocol::Tcp, port);
        assert_eq!(
            verdict(&policies, &Endpoint::OwnNode, &to, probe),
            Verdict::Allowed
        );
        let elsewhere = Endpoint::Host { address: None };
        assert_eq!(verdict(&policies, &elsewhere, &to, probe), Verdict::Denied);
    }
}

#[test]
fn g14_users_add_egress_and_cannot_take_any_away() {
    let rows = [
        (ZeroTrustWorkloadIdentityManager, "SpireServer", server()),
        (
            CertManager,
            "CoreController",
            pod("cert-manager", &[("app", "cert-manager")]),
        ),
        (
            ExternalSecrets,
            "BitwardenSDKServer",
            pod("external-secrets", &[(NAME, "bitwarden-sdk-server")]),
        ),
    ];
    for (operand, component, pod) in rows {
        let entry =
            json!({"name": "more", "componentName": component, "egress": [{"ports": [{"port": 8200}]}]});
        let more = case(operand)
            .spec(json!({"operand": operand, "egress": [entry]}))
            .bundle();
        for policy in case(operand).bundle().policies() {
            assert!(more.policies().any(|p| p == policy), "{} is gone", policy.name);
        }
        let out = Table::new(&more).out(&pod, OUTSIDE);
        assert!(out.contains("8200") || out == "all ports", "{operand:?}: {out}");
    }
}

#[test]
fn bundles_are_inactive_until_their_operand_appears() {
    for operand in Operand::ALL {
        let bundle = bare(operand).bundle();
        assert!(!bundle.active && bundle.policies.is_empty(), "{operand:?}");
        assert!(case(operand).bundle().active);
    }
    let helm = [
        (ZeroTrustWorkloadIdentityManager, server()),
        (
            CertManager,
            pod(
                "cert-manager",
                &[("app.kubernetes.io/instance", "cert-manager"), ("app", "webhook")],
            ),
        ),
        (
            ExternalSecrets,
            pod("external-secrets", &[(NAME, "external-secrets")]),
        ),
    ];
    for (operand, pod) in helm {
        assert!(
            bare(operand).running(pod).bundle().active,
            "{operand:?} by its pods"
        );
    }
}

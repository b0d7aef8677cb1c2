//! cert-manager and istio-csr.

use bulkhead_api::operand::Operand::CertManager as C;
use bulkhead_policy::Pod;
use serde_json::json;

use super::support::*;
use crate::operands::{Role, Source, entries, order, uncovered};

const HOME: &str = "cert-manager-operator";
const NS: &str = "cert-manager";

fn operator() -> Pod {
    pod(HOME, &[("name", HOME)])
}

fn component(app: &str) -> Pod {
    pod(
        NS,
        &[("app.kubernetes.io/instance", "cert-manager"), ("app", app)],
    )
}

fn istio_csr(namespace: &str) -> Pod {
    pod(namespace, &[("app", "cert-manager-istio-csr")])
}

fn with_istio(namespace: &str) -> Case {
    let object =
        json!({"metadata": {"name": "default", "namespace": namespace}, "spec": {"istioCSRConfig": {}}});
    case(C).with(Source::IstioCsr, object)
}

#[test]
fn cert_manager_accepts_what_the_proposal_lists_and_nothing_else() {
    let table = with_istio("istio-system").table();
    let rows = [
        (operator(), "TCP/8443"),
        (component("cert-manager"), "TCP/9402"),
        (component("webhook"), "TCP/9402,TCP/10250"),
        (component("cainjector"), "TCP/9402"),
        (istio_csr("istio-system"), "TCP/9402"),
        (pod(NS, &[("app", "other")]), NOTHING),
        (pod(HOME, &[("app", "other")]), NOTHING),
    ];
    for (to, ports) in rows {
        for from in [
            "stranger",
            "openshift-monitoring",
            "openshift-user-workload-monitoring",
            "labelled",
        ] {
            assert_eq!(table.ingress(&to, from), ports, "{from} to {}", to.name);
        }
    }
    let mesh = pod("istio-system", &[("app", "istiod")]);
    assert_eq!(
        table.ingress(&mesh, "stranger"),
        "all ports",
        "the mesh is not ours to isolate"
    );
}

#[test]
fn cert_manager_opens_what_the_proposal_lists_and_nothing_else() {
    let table = with_istio("istio-system").table();
    let rows = [
        (operator(), "TCP/6443"),
        (component("cert-manager"), "all ports"),
        (component("webhook"), "TCP/6443"),
        (component("cainjector"), "TCP/6443"),
        (istio_csr("istio-system"), "TCP/6443"),
        (pod(NS, &[("app", "other")]), NOTHING),
    ];
    for (from, ports) in rows {
        assert_eq!(table.out(&from, OUTSIDE), ports, "{}", from.name);
    }
}

#[test]
fn c1_the_bundle_can_be_previewed_and_left() {
    let bundle = case(C).bundle();
    let audit = spec(json!({"operand": "CertManager", "enforcement": "Audit"}));
    assert_eq!(order::wanted(&bundle, &audit), None);
    let enforced = order::wanted(&bundle, &case(C).spec).unwrap();
    assert_eq!(enforced.len(), bundle.policies.len());
    let out = phases(&world(), NS, &enforced, &[]);
    let mut stands: Vec<_> = enforced
        .iter()
        .map(|(_, p)| p)
        .filter(|p| &*p.namespace == NS)
        .collect();
    for step in out.iter().flatten().filter(|s| s.version.is_none()) {
        stands.retain(|p| p.name != step.name);
    }
    assert!(stands.is_empty(), "{stands:?}");
}

#[test]
fn c2_the_controller_reaches_any_issuer_unless_restricted() {
    let controller = component("cert-manager");
    let any = case(C).table();
    for (address, port) in [(OUTSIDE, "all ports"), ("2001:db8::1", "all ports")] {
        assert_eq!(any.out(&controller, address), port);
    }
    let env = json!({"env": [{"name": "HTTP_PROXY", "value": "http://proxy.example:3130"}]});
    let narrow = case(C)
        .with(Source::Workload, workload(HOME, json!({"name": HOME}), env))
        .spec(json!({"operand": "CertManager", "certManager": {"controllerEgress": "Restricted"},
            "egress": [{"name": "vault", "componentName": "CoreController", "egress": [{"ports": [{"port": 8200}]}]}]}))
        .table();
    assert_eq!(narrow.out(&controller, OUTSIDE), "TCP/3130,TCP/6443,TCP/8200");
    assert_eq!(
        narrow.out_to(&controller, &dns_pod()),
        "TCP/3130,TCP/5353,TCP/6443,TCP/8200,UDP/5353"
    );
}

#[test]
fn c3_pods_that_the_deny_would_cut_off_by_surprise_are_listed() {
    let strangers = [
        pod(NS, &[("app", "cert-manager-trust-manager")]),
        pod(NS, &[("app", "cert-manager-approver-policy")]),
        pod(NS, &[("acme.cert-manager.io/http01-solver", "true")]),
    ];
    let mut case = case(C).running(component("webhook"));
    for stranger in &strangers {
        case = case.running(stranger.clone());
    }
    let found = uncovered::pods(&case.bundle(), &case.objects.pods);
    assert_eq!(found, strangers.iter().collect::<Vec<_>>());
    let warning = uncovered::warning(&case.bundle(), &case.objects.pods).unwrap();
    assert!(
        warning.message.contains("uncovered pods: cert-manager/"),
        "{}",
        warning.message
    );
    let scoped = case.spec(json!({"operand": "CertManager", "denyScope": "Component"}));
    assert_eq!(uncovered::warning(&scoped.bundle(), &scoped.objects.pods), None);
    assert_eq!(scoped.table().ingress(&strangers[0], "stranger"), "all ports");
    assert_eq!(
        scoped.table().ingress(&component("cainjector"), "stranger"),
        "TCP/9402"
    );
}

#[test]
fn c4_metrics_are_open_to_all_unless_clients_are_named() {
    let narrow = case(C).spec(json!({"operand": "CertManager", "certManager": {"metricsFrom": [
        {"type": "Namespace", "namespace": {"name": "openshift-user-workload-monitoring"}}]}}));
    for to in [component("cert-manager"), component("cainjector")] {
        assert_eq!(case(C).table().ingress(&to, "stranger"), "TCP/9402");
        assert_eq!(narrow.table().ingress(&to, "stranger"), NOTHING);
        assert_eq!(
            narrow.table().ingress(&to, "openshift-user-workload-monitoring"),
            "TCP/9402"
        );
    }
    assert_eq!(case(C).table().ingress(&operator(), "stranger"), "TCP/8443");
    assert_eq!(narrow.table().ingress(&operator(), "stranger"), NOTHING);
}

#[test]
fn c5_webhook_and_cainjector_need_the_api_server_and_no_dns() {
    let table = case(C).table();
    for pod in [component("webhook"), component("cainjector")] {
        assert_eq!(table.out_to(&pod, &dns_pod()), "TCP/6443");
    }
    assert!(
        table
            .ingress_from_host(&component("webhook"))
            .contains("TCP/10250")
    );
}

#[test]
fn c6_the_grpc_policy_opens_the_port_of_the_container_and_not_that_of_the_service() {
    let object = json!({"metadata": {"name": "default", "namespace": "mesh"},
        "spec": {"istioCSRConfig": {"server": {"port": 8443}}}});
    let generated = json!({"operand": "CertManager", "certManager": {"istioCSR": {"grpc": {
        "policy": "Generated", "generated": {"clients": [{"type": "Namespace", "namespace": {"name": "stranger"}}]}}}}});
    let operator = case(C).with(Source::IstioCsr, object).spec(generated.clone());
    assert_eq!(
        operator.facts().cert_manager.istio_csr.unwrap().service_port,
        8443
    );
    assert_eq!(
        operator.table().ingress(&istio_csr("mesh"), "stranger"),
        "TCP/6443,TCP/9402"
    );
    assert_eq!(
        operator.table().ingress(&istio_csr("mesh"), "labelled"),
        "TCP/9402"
    );
    let helm = workload(
        "mesh",
        json!({"app": "cert-manager-istio-csr"}),
        json!({"args": ["--serving-address=0.0.0.0:7443"]}),
    );
    let helm = case(C).with(Source::Workload, helm).spec(generated);
    assert_eq!(
        helm.table().ingress(&istio_csr("mesh"), "stranger"),
        "TCP/7443,TCP/9402"
    );
}

#[test]
fn c7_grpc_is_blocked_until_its_users_open_it() {
    let bundle = with_istio("istio-system").bundle();
    assert!(policy(&bundle, "istio-system", "allow-istio-csr-grpc-service").is_none());
    let ports = Table::new(&bundle).ingress(&istio_csr("istio-system"), "istio-system");
    assert_eq!(ports, "TCP/9402");
}

#[test]
fn c8_istio_csr_is_where_its_object_is_unless_the_spec_says_otherwise() {
    let namespaces = |case: &Case| {
        case.bundle()
            .namespaces()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let mesh = with_istio("mesh");
    assert_eq!(namespaces(&mesh), [NS, HOME, "mesh"]);
    let spec = json!({"operand": "CertManager", "certManager": {"istioCSR": {"namespace": "elsewhere"}}});
    assert_eq!(namespaces(&mesh.spec(spec)), [NS, HOME, "elsewhere"]);
    assert_eq!(
        namespaces(&case(C)),
        [NS, HOME],
        "without istio-csr nothing is written for it"
    );
}

#[test]
fn c9_policies_have_the_proposed_names() {
    let bundle = with_istio("istio-system").bundle();
    assert_eq!(
        names(&bundle, HOME),
        ["allow-operator-traffic", "deny-all-traffic"]
    );
    let operands = ["controller", "webhook", "cainjector"].map(|c| format!("allow-cert-manager-{c}-traffic"));
    assert_eq!(
        names(&bundle, NS),
        [&operands[..], &["deny-all-traffic".to_owned()]].concat()
    );
    let istio = names(&bundle, "istio-system");
    assert_eq!(
        istio,
        ["allow-istio-csr-baseline-traffic", "deny-istio-csr-traffic"]
    );
}

#[test]
fn c10_leaving_removes_every_object_and_the_deny_first() {
    let wanted = order::wanted(&case(C).bundle(), &case(C).spec).unwrap();
    for namespace in [HOME, NS] {
        let phases = super::support::phases(&world(), namespace, &wanted, &[]);
        let removed: Vec<&str> = phases
            .iter()
            .flatten()
            .filter(|s| s.version.is_none())
            .map(|s| &*s.name)
            .collect();
        let mine: Vec<_> = wanted
            .iter()
            .filter(|(_, p)| &*p.namespace == namespace)
            .collect();
        assert_eq!(removed[0], "deny-all-traffic", "{removed:?}");
        for (role, policy) in mine {
            assert!(
                removed.contains(&&*policy.name),
                "{role:?} {} is left",
                policy.name
            );
        }
        assert_eq!(
            wanted
                .iter()
                .filter(|(r, p)| *r == Role::Deny && &*p.namespace == namespace)
                .count(),
            1
        );
    }
}

#[test]
fn c11_spellings_of_component_names_are_accepted_and_the_canonical_one_is_kept() {
    for spelled in ["CoreController", "CertManager"] {
        let raw = [json!({"name": "x", "componentName": spelled, "egress": [{}]})];
        let accepted = entries::accept(C, &raw, "", &[], &mut Vec::new());
        assert_eq!(accepted[0].component, "CoreController");
    }
    for unknown in ["CAInjector", "Webhook", ""] {
        let mut warnings = Vec::new();
        let raw = [json!({"name": "x", "componentName": unknown, "egress": [{}]})];
        assert!(entries::accept(C, &raw, "", &[], &mut warnings).is_empty());
        assert!(warnings[0].message.contains("CoreController"), "{warnings:?}");
    }
}

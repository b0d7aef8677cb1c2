//! external-secrets.

use bulkhead_api::operand::Operand::ExternalSecrets as E;
use bulkhead_policy::Pod;
use serde_json::{Value, json};

use super::support::*;
use crate::operands::{Source, bundles::Role, entries, order};

const HOME: &str = "external-secrets-operator";
const NS: &str = "external-secrets";

fn operator() -> Pod {
    pod(HOME, &[("app", "external-secrets-operator")])
}

/// Every pod carries `app=external-secrets` too.
fn component(name: &str) -> Pod {
    pod(NS, &[("app", "external-secrets"), (NAME, name)])
}

fn controller() -> Pod {
    component("external-secrets")
}

fn bitwarden() -> Pod {
    component("bitwarden-sdk-server")
}

fn config(spec: Value) -> Case {
    case(E).config(Source::ExternalSecretsConfig, spec)
}

fn with_bitwarden(entries: Value) -> Case {
    config(
        json!({"plugins": {"bitwardenSecretManagerProvider": {"mode": "Enabled"}},
        "controllerConfig": {"networkPolicies": entries}}),
    )
}

fn with_entries(entries: Value) -> Case {
    config(json!({"controllerConfig": {"networkPolicies": entries}}))
}

fn entry(name: &str, component: &str, egress: Value) -> Value {
    json!({"name": name, "componentName": component, "egress": egress})
}

#[test]
fn external_secrets_accepts_what_the_proposal_lists_and_nothing_else() {
    let table = with_bitwarden(json!([])).table();
    let rows = [
        (operator(), NOTHING, "TCP/8080,TCP/8443"),
        (controller(), NOTHING, "TCP/8080"),
        (
            component("external-secrets-webhook"),
            "TCP/10250",
            "TCP/8080,TCP/10250",
        ),
        (component("external-secrets-cert-controller"), NOTHING, "TCP/8080"),
        (bitwarden(), NOTHING, NOTHING),
        (pod(NS, &[("app", "other")]), NOTHING, NOTHING),
    ];
    for (to, anybody, scraper) in rows {
        assert_eq!(table.ingress(&to, "stranger"), anybody, "{}", to.name);
        for from in [
            "openshift-monitoring",
            "openshift-user-workload-monitoring",
            "labelled",
        ] {
            assert_eq!(table.ingress(&to, from), scraper, "{from} to {}", to.name);
        }
    }
}

#[test]
fn external_secrets_opens_what_the_proposal_lists_and_its_additions_and_nothing_else() {
    let table = with_bitwarden(json!([])).table();
    let dns = "TCP/5353,TCP/6443,UDP/5353";
    let rows = [
        (operator(), "TCP/6443", "TCP/6443"),
        (controller(), "TCP/6443", dns),
        (component("external-secrets-webhook"), "TCP/6443", "TCP/6443"),
        (
            component("external-secrets-cert-controller"),
            "TCP/6443",
            "TCP/6443",
        ),
        (bitwarden(), "TCP/6443", dns),
        (pod(NS, &[("app", "external-secrets")]), NOTHING, NOTHING),
    ];
    for (from, outside, to_dns) in rows {
        assert_eq!(table.out(&from, OUTSIDE), outside, "{}", from.name);
        assert_eq!(table.out_to(&from, &dns_pod()), to_dns, "{}", from.name);
    }
}

#[test]
fn e1_entries_are_read_where_the_operator_keeps_them_and_in_the_older_kind_when_that_is_all() {
    let entries = json!([entry(
        "vault",
        "ExternalSecretsCoreController",
        json!([{"ports": [{"port": 8200}]}])
    )]);
    let current = with_entries(entries.clone());
    let old = case(E).config(Source::ExternalSecrets, json!({"networkPolicies": entries}));
    for case in [&current, &old] {
        assert_eq!(case.table().out(&controller(), OUTSIDE), "TCP/6443,TCP/8200");
    }
    let other = json!([entry(
        "other",
        "CoreController",
        json!([{"ports": [{"port": 1}]}])
    )]);
    let both = current.with(
        Source::ExternalSecrets,
        json!({"spec": {"networkPolicies": other}}),
    );
    assert_eq!(
        both.table().out(&controller(), OUTSIDE),
        "TCP/6443,TCP/8200",
        "the newer kind wins"
    );
}

#[test]
fn e2_both_spellings_of_the_controller_are_accepted_and_one_is_kept() {
    for spelled in ["ExternalSecretsCoreController", "CoreController"] {
        let case = with_entries(json!([entry("vault", spelled, json!([{}]))]));
        let bundle = case.bundle();
        let found = bundle
            .policies
            .iter()
            .find(|p| &*p.policy.name == "vault")
            .unwrap();
        assert_eq!(found.component, Some("ExternalSecretsCoreController"));
        assert_eq!(case.table().out(&controller(), OUTSIDE), "all ports");
    }
}

#[test]
fn e3_policy_types_are_never_dropped_in_silence() {
    let with = |types: Value| {
        let mut entry = entry("x", "CoreController", json!([{}]));
        entry["policyTypes"] = types;
        with_entries(json!([entry])).bundle()
    };
    let example = with(json!(["Egress"]));
    assert!(policy(&example, NS, "x").is_some() && reasons(&example).contains(&"IgnoredField"));
    let ingress = with(json!(["Ingress"]));
    assert!(policy(&ingress, NS, "x").is_none() && reasons(&ingress).contains(&"InvalidEntry"));
}

#[test]
fn e4_providers_are_found_by_name() {
    let table = with_bitwarden(json!([])).table();
    for pod in [controller(), bitwarden()] {
        let ports = table.out_to(&pod, &dns_pod());
        assert!(
            ports.contains("TCP/5353") && ports.contains("UDP/5353"),
            "{ports}"
        );
    }
}

#[test]
fn e5_the_bitwarden_policy_selects_the_pods_that_run_and_those_that_the_proposal_names() {
    let table = with_bitwarden(json!([])).table();
    for name in ["bitwarden-sdk-server", "external-secrets-bitwarden-server"] {
        assert_eq!(
            table.ingress_from(&component(name), &controller()),
            "TCP/9998",
            "{name}"
        );
    }
}

#[test]
fn e6_bitwarden_keeps_the_api_server_and_is_warned_about_until_it_reaches_https() {
    let warned = |entries: Value| reasons(&with_bitwarden(entries).bundle()).contains(&"NoBitwardenEgress");
    assert!(warned(json!([])));
    assert!(warned(json!([entry(
        "a",
        "BitwardenSDKServer",
        json!([{"ports": [{"port": 8443}]}])
    )])));
    assert!(warned(json!([entry(
        "a",
        "CoreController",
        json!([{"ports": [{"port": 443}]}])
    )])));
    let rows = [
        json!([{}]),
        json!([{"ports": [{"port": 443}]}]),
        json!([{"ports": [{"port": 400, "endPort": 500}]}]),
        json!([{"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": [{"port": 443}]}]),
    ];
    for egress in rows {
        assert!(
            !warned(json!([entry("a", "BitwardenSDKServer", egress.clone())])),
            "{egress}"
        );
    }
    assert!(
        with_bitwarden(json!([]))
            .table()
            .out(&bitwarden(), OUTSIDE)
            .contains("TCP/6443")
    );
    assert!(
        !reasons(&case(E).bundle()).contains(&"NoBitwardenEgress"),
        "not while it is off"
    );
}

#[test]
fn e7_only_the_controller_reaches_bitwarden() {
    let table = with_bitwarden(json!([])).table();
    assert_eq!(table.ingress_from(&bitwarden(), &controller()), "TCP/9998");
    assert_eq!(
        table.ingress_from(&bitwarden(), &component("external-secrets-webhook")),
        NOTHING
    );
    let namesake = pod("stranger", &[(NAME, "external-secrets")]);
    assert_eq!(
        table.ingress_from(&bitwarden(), &namesake),
        NOTHING,
        "in its own namespace alone"
    );
}

#[test]
fn e8_the_controller_is_let_out_to_bitwarden_while_bitwarden_is_on() {
    let on = with_bitwarden(json!([])).table();
    assert!(on.out_to(&controller(), &bitwarden()).contains("TCP/9998"));
    let off = case(E);
    assert!(!off.table().out_to(&controller(), &bitwarden()).contains("9998"));
    assert!(policy(&off.bundle(), NS, "allow-controller-bitwarden-egress").is_none());
}

#[test]
fn e9_metrics_of_the_operands_stay_readable() {
    let table = case(E).table();
    for name in [
        "external-secrets",
        "external-secrets-webhook",
        "external-secrets-cert-controller",
    ] {
        let to = component(name);
        assert!(
            table
                .ingress(&to, "openshift-user-workload-monitoring")
                .contains("TCP/8080"),
            "{name}"
        );
        assert!(!table.ingress(&to, "stranger").contains("8080"), "{name}");
    }
}

#[test]
fn e10_names_are_the_proposals_the_misspelt_one_too() {
    let bundle = with_bitwarden(json!([])).bundle();
    assert_eq!(
        names(&bundle, HOME),
        ["allow-operator-traffic", "deny-all-traffic"]
    );
    let mut found = names(&bundle, NS);
    found.sort();
    let mut expected = [
        "allow-api-server-egress",
        "allow-api-server-egress-for-webhook",
        "allow-api-server-egress-for-cert-controller",
        "allow-api-server-egress-for-bitwarden-sever",
        "allow-to-dns",
        "allow-metrics-ingress",
        "allow-controller-bitwarden-egress",
        "deny-all-traffic",
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn e11_entries_cannot_take_the_name_of_a_policy_of_the_bundle_even_of_an_absent_one() {
    for name in [
        "deny-all-traffic",
        "allow-to-dns",
        "allow-api-server-egress-for-bitwarden-sever",
        "allow-proxy-egress",
    ] {
        let bundle = with_entries(json!([entry(name, "CoreController", json!([{}]))])).bundle();
        assert!(reasons(&bundle).contains(&"InvalidEntry"), "{name}");
        assert_ne!(
            Table::new(&bundle).out(&controller(), OUTSIDE),
            "all ports",
            "{name}"
        );
    }
    let prefixed = with_entries(json!([entry("deny-all-traffic", "CoreController", json!([{}]))]))
        .spec(json!({"operand": "ExternalSecrets", "externalSecrets": {"entryPrefix": "eso-user-"}}));
    assert!(policy(&prefixed.bundle(), NS, "eso-user-deny-all-traffic").is_some());
}

#[test]
fn e12_two_entries_never_share_an_object() {
    let twice = json!([
        entry("x", "CoreController", json!([{"ports": [{"port": 1}]}])),
        entry("x", "BitwardenSDKServer", json!([{"ports": [{"port": 2}]}]))
    ]);
    let bundle = with_entries(twice).bundle();
    assert_eq!(names(&bundle, NS).iter().filter(|n| *n == "x").count(), 1);
    assert!(reasons(&bundle).contains(&"InvalidEntry"));
    assert!(
        Table::new(&bundle).out(&controller(), OUTSIDE).contains("TCP/1,"),
        "the first stands"
    );
}

#[test]
fn e13_names_that_the_api_server_refuses_are_refused_before_it() {
    let accepted = |name: &str| {
        let raw = [entry(name, "CoreController", json!([{}]))];
        !entries::accept(E, &raw, "", &[], &mut Vec::new()).is_empty()
    };
    let long = "a".repeat(254);
    for name in ["", "Vault", "a_b", "-a", "a-", "a..b", "a/b", "\u{e9}", &long] {
        assert!(!accepted(name), "{name:?}");
    }
    for name in ["vault", "a.b", "1-a", &long[1..]] {
        assert!(accepted(name), "{name:?}");
    }
}

#[test]
fn e14_the_cert_controllers_policy_goes_when_cert_manager_comes() {
    let name = "allow-api-server-egress-for-cert-controller";
    let before = case(E).bundle();
    let enabled = config(json!({"controllerConfig": {"certProvider": {"certManager": {"mode": "Enabled"}}}}));
    let after = enabled.bundle();
    assert!(policy(&before, NS, name).is_some() && policy(&after, NS, name).is_none());
    let standing = |b| order::wanted(b, &case(E).spec).unwrap();
    let phases = super::support::phases(&world(), NS, &standing(&before), &standing(&after));
    let removed: Vec<&str> = phases
        .iter()
        .flatten()
        .filter(|s| s.version.is_none())
        .map(|s| &*s.name)
        .collect();
    assert_eq!(removed, [name]);
    let leftover = enabled
        .running(component("external-secrets-cert-controller"))
        .bundle();
    assert!(policy(&leftover, NS, name).is_none() && reasons(&leftover).contains(&"LeftOver"));
}

#[test]
fn e15_an_empty_list_opens_nothing_and_an_absent_one_is_refused() {
    let with = |egress: Value| with_entries(json!([entry("x", "CoreController", egress)])).bundle();
    let empty = with(json!([]));
    assert_eq!(Table::new(&empty).out(&controller(), OUTSIDE), "TCP/6443");
    assert!(reasons(&empty).contains(&"NoEffect") && reasons(&empty).contains(&"NoProviderEgress"));
    let null = with(Value::Null);
    assert!(policy(&null, NS, "x").is_none() && reasons(&null).contains(&"InvalidEntry"));
}

#[test]
fn e16_hosted_clusters_need_the_port_of_their_own_api_server() {
    let slice = json!({"metadata": {"namespace": "default", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "ports": [{"port": 2040}]});
    let table = case(E).with(Source::EndpointSlice, slice).table();
    for pod in [operator(), controller(), component("external-secrets-webhook")] {
        assert_eq!(table.out(&pod, "172.20.0.1"), "TCP/2040,TCP/6443", "{}", pod.name);
    }
}

#[test]
fn e17_what_the_api_server_defaults_is_no_difference() {
    let short = with_entries(json!([entry(
        "x",
        "CoreController",
        json!([{"ports": [{"port": 1}], "to": []}])
    )]));
    let stored = json!([{"ports": [{"port": 1, "protocol": "TCP"}]}]);
    let stored = with_entries(json!([entry("x", "ExternalSecretsCoreController", stored)]));
    assert_eq!(short.bundle().policies, stored.bundle().policies);
    let standing = |case: &Case| order::wanted(&case.bundle(), &case.spec).unwrap();
    assert!(phases(&world(), NS, &standing(&short), &standing(&stored)).is_empty());
}

#[test]
fn a_controller_without_provider_egress_is_pointed_out() {
    assert!(reasons(&case(E).bundle()).contains(&"NoProviderEgress"));
    let open = with_entries(json!([entry("x", "CoreController", json!([{}]))])).bundle();
    assert!(!reasons(&open).contains(&"NoProviderEgress"));
}

#[test]
fn an_entry_for_a_bitwarden_that_is_off_is_kept_and_pointed_out() {
    let entries = json!([entry(
        "bw",
        "BitwardenSDKServer",
        json!([{"ports": [{"port": 443}]}])
    )]);
    let bundle = with_entries(entries.clone()).bundle();
    assert!(policy(&bundle, NS, "bw").is_some());
    assert!(reasons(&bundle).contains(&"NetworkPolicyMisconfiguration"));
    assert!(!reasons(&with_bitwarden(entries).bundle()).contains(&"NetworkPolicyMisconfiguration"));
}

#[test]
fn more_than_fifty_entries_are_refused_one_by_one() {
    let many: Vec<Value> = (0..52)
        .map(|i| entry(&format!("e{i}"), "CoreController", json!([{}])))
        .collect();
    let bundle = with_entries(json!(many)).bundle();
    assert_eq!(
        names(&bundle, NS).iter().filter(|n| n.starts_with('e')).count(),
        50
    );
    assert_eq!(
        reasons(&bundle).iter().filter(|r| **r == "InvalidEntry").count(),
        2
    );
}

#[test]
fn entries_of_our_own_object_are_added_to_those_of_the_operands() {
    let case = with_entries(json!([entry(
        "a",
        "CoreController",
        json!([{"ports": [{"port": 1}]}])
    )]))
    .spec(json!({
        "operand": "ExternalSecrets",
        "egress": [{"name": "b", "componentName": "CoreController", "egress": [{"ports": [{"port": 3}]}]}]}));
    assert_eq!(case.table().out(&controller(), OUTSIDE), "TCP/1,TCP/3,TCP/6443");
}

#[test]
fn the_proxy_is_opened_by_the_first_place_that_says_anything() {
    let proxy = |url: &str| json!({"httpsProxy": url});
    let own = config(json!({"appConfig": {"proxy": proxy("https://own.example")}}));
    assert_eq!(own.table().out(&controller(), OUTSIDE), "TCP/443,TCP/6443");
    let global = case(E).with(
        Source::ExternalSecretsManager,
        json!({"spec": {"globalConfig": {"proxy": proxy("http://g:3128")}}}),
    );
    assert_eq!(global.table().out(&bitwarden(), OUTSIDE), NOTHING_BUT_PROXY);
    let cluster = case(E).with(
        Source::Proxy,
        json!({"metadata": {"name": "cluster"}, "status": proxy("http://c:3129")}),
    );
    assert_eq!(cluster.table().out(&controller(), OUTSIDE), "TCP/3129,TCP/6443");
    let except = config(json!({"appConfig": {"proxy": {"noProxy": ".svc"}}})).with(
        Source::Proxy,
        json!({"metadata": {"name": "cluster"}, "status": proxy("http://c:3129")}),
    );
    assert_eq!(
        except.table().out(&controller(), OUTSIDE),
        "TCP/6443",
        "exceptions alone are no proxy"
    );
    let refused = json!({"httpsProxy": "http://p:3128", "networkPolicyProvisioning": "Unmanaged"});
    assert_eq!(
        config(json!({"appConfig": {"proxy": refused}}))
            .table()
            .out(&controller(), OUTSIDE),
        "TCP/6443"
    );
    let unmanaged = json!({"spec": {"globalConfig": {"proxy": {"networkPolicyProvisioning": "Unmanaged"}}}});
    let own = config(json!({"appConfig": {"proxy": proxy("http://p:3128")}}))
        .with(Source::ExternalSecretsManager, unmanaged);
    assert_eq!(
        own.table().out(&controller(), OUTSIDE),
        "TCP/6443",
        "set beside no URL"
    );
    let env = json!({"env": [{"name": "https_proxy", "value": "http://p:3130"}]});
    let helm = case(E).with(
        Source::Workload,
        workload(NS, json!({NAME: "external-secrets"}), env),
    );
    assert_eq!(helm.table().out(&controller(), OUTSIDE), "TCP/3130,TCP/6443");
    let malformed = config(json!({"appConfig": {"proxy": proxy("proxy:3128")}})).bundle();
    assert!(reasons(&malformed).contains(&"MalformedProxy"));
}

/// The Bitwarden server is off there: only the policies that it shares with the controller select it.
const NOTHING_BUT_PROXY: &str = "TCP/3128";

#[test]
fn release_0_1_chose_its_namespace_and_switched_with_text() {
    let spec = json!({"controllerConfig": {"namespace": "secrets"}, "externalSecretsConfig": {
        "webhookConfig": {"certManagerConfig": {"enabled": "true"}}, "bitwardenSecretManagerProvider": {"enabled": "true"}}});
    let bundle = case(E).config(Source::ExternalSecrets, spec).bundle();
    assert!(policy(&bundle, "secrets", "allow-api-server-egress-for-bitwarden-sever").is_some());
    assert!(policy(&bundle, "secrets", "allow-api-server-egress-for-cert-controller").is_none());
    assert_eq!(bundle.policies.iter().filter(|p| p.role == Role::Deny).count(), 2);
}

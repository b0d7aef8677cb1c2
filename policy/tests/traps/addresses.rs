//! Address blocks and their exceptions.

use bulkhead_policy::{Dialect, Endpoint, Unknown, Verdict};

use crate::common::scene::{PodExt, Scene, complaint, outside, pod, tcp};

#[test]
fn trap_17_whether_address_blocks_match_pods_is_a_matter_of_dialect() {
    let spec = "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}";
    let (server, client) = (pod("home", "s", []), pod("away", "c", []).at("10.1.2.3"));
    assert!(
        Scene::new()
            .policy("home", spec)
            .allows(client.end(), server.end(), tcp(80))
    );
    let strict = Dialect {
        ip_block_matches_pods: false,
        ..Dialect::spec()
    };
    assert!(
        !Scene::on(strict)
            .policy("home", spec)
            .allows(client.end(), server.end(), tcp(80))
    );
    let pending = pod("away", "new", []);
    let verdict = Scene::new()
        .policy("home", spec)
        .verdict(pending.end(), server.end(), tcp(80));
    assert_eq!(verdict, Verdict::Unknown(Unknown::AddressNotKnown));
}

#[test]
fn trap_18_a_source_that_may_be_translated_is_not_guessed() {
    let server = pod("home", "s", []);
    let verdict = |dialect, from: &str| {
        let spec = format!("{{podSelector: {{}}, ingress: [{{from: [{from}]}}]}}");
        Scene::on(dialect)
            .policy("home", &spec)
            .verdict(Endpoint::ExternalUnknown, server.end(), tcp(80))
    };
    let block = "{ipBlock: {cidr: 203.0.113.0/24}}";
    assert_eq!(
        verdict(Dialect::spec(), block),
        Verdict::Unknown(Unknown::AddressNotKnown)
    );
    assert_eq!(
        verdict(Dialect::spec(), "{namespaceSelector: {}}"),
        Verdict::Denied
    );
    let translated = Verdict::Unknown(Unknown::SourceTranslated);
    assert_eq!(
        verdict(Dialect::ovn_kubernetes(), "{namespaceSelector: {}}"),
        translated
    );
    let all = "{ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: '::/0'}}";
    assert_eq!(verdict(Dialect::spec(), all), Verdict::Allowed);
}

#[test]
fn trap_19_an_exception_is_strictly_inside_and_another_policy_may_allow_it_again() {
    let server = pod("home", "s", []);
    let scene = Scene::new().policy(
        "home",
        "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}]}",
    );
    assert!(scene.allows(outside("10.2.0.1"), server.end(), tcp(80)));
    assert!(!scene.allows(outside("10.1.0.1"), server.end(), tcp(80)));
    let wider = scene.policy(
        "home",
        "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.1.0.0/16}}]}]}",
    );
    assert!(wider.allows(outside("10.1.0.1"), server.end(), tcp(80)));
    for hole in ["10.0.0.0/8", "0.0.0.0/0", "11.0.0.0/16", "fd00::/64"] {
        let text = complaint(&format!(
            "{{podSelector: {{}}, ingress: [{{from: [{{ipBlock: {{cidr: 10.0.0.0/8, except: ['{hole}']}}}}]}}]}}"
        ));
        assert!(
            text.starts_with("spec.ingress[0].from[0].ipBlock.except[0]: "),
            "{text}"
        );
    }
    let text = complaint("{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.1}}]}]}");
    assert!(text.ends_with("write 10.0.0.1/32 for one address"), "{text}");
}

#[test]
fn trap_30_address_families_are_apart_and_a_v4_block_denies_v6() {
    let spec = "{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}";
    let scene = Scene::new().policy("home", spec);
    let server = pod("home", "s", []);
    assert!(scene.allows(outside("203.0.113.9"), server.end(), tcp(80)));
    assert!(!scene.allows(outside("2001:db8::9"), server.end(), tcp(80)));
    let dual = pod("away", "c", []).at("10.0.0.1").at("fd00::1");
    let verdict = scene.verdict(dual.end(), server.end(), tcp(80));
    assert_eq!(verdict, Verdict::Unknown(Unknown::SomeAddressesOnly));
}

//! Questions that name a Service are answered for the pods and ports behind it.
#![allow(clippy::unwrap_used)] // in helpers of tests a failed unwrap is a failed test

mod common;

use bulkhead_policy::services::{
    Access, Dialled, Service, ServicePort, Slice, Target, Unresolved, connection,
};
use bulkhead_policy::{Endpoint, Pod, PodState, Policy, Protocol, Selector, Unknown, Verdict, World};
use common::scene::{PodExt, pod, policy};

fn port(name: &str, port: u16, target: Target) -> ServicePort {
    ServicePort {
        name: Some(name.into()),
        protocol: Protocol::Tcp,
        port,
        target,
    }
}

fn service() -> Service {
    Service {
        namespace: "home".into(),
        name: "web".into(),
        selector: Some(Selector::from([("app", "web")])),
        ports: vec![
            port("http", 80, Target::Name("web".into())),
            port("metrics", 9000, Target::Number(9090)),
        ],
        ..Service::default()
    }
}

fn pods() -> Vec<Pod> {
    let web = |name: &str, number| pod("home", name, [("app", "web")]).port("web", Protocol::Tcp, number);
    vec![
        web("old", 8080),
        web("new", 8081),
        web("done", 8082).state(PodState::Finished),
        pod("home", "other", []).port("web", Protocol::Tcp, 1),
        pod("away", "web", [("app", "web")]).port("web", Protocol::Tcp, 2),
    ]
}

const HTTP: Dialled<'_> = Dialled::Number(Protocol::Tcp, 80);

/// Backends as text, in order.
fn found(service: &Service, dialled: Dialled<'_>, pods: &[Pod], slices: &[Slice]) -> Vec<String> {
    let backends = service.backends(dialled, pods, slices).unwrap();
    backends
        .iter()
        .map(|b| format!("{} {}/{}", b.end, b.protocol, b.port))
        .collect()
}

fn verdict(specs: &[&str], from: &Pod, dialled: Dialled<'_>) -> Verdict {
    let policies: Vec<Policy> = specs.iter().map(|spec| policy("home", spec)).collect();
    let pods = pods();
    let backends = service().backends(dialled, &pods, &[]).unwrap();
    connection(&World::default(), &[], &policies, &from.end(), backends).verdict
}

#[test]
fn a_named_target_port_leads_to_the_number_of_each_pod() {
    let pods = pods();
    assert_eq!(
        found(&service(), HTTP, &pods, &[]),
        ["home/old TCP/8080", "home/new TCP/8081"]
    );
    assert_eq!(
        found(&service(), Dialled::Name("http"), &pods, &[]),
        found(&service(), HTTP, &pods, &[])
    );
    let metrics = found(&service(), Dialled::Name("metrics"), &pods, &[]);
    assert_eq!(metrics, ["home/old TCP/9090", "home/new TCP/9090"]);
}

#[test]
fn a_headless_service_leaves_the_dialled_number_as_it_is() {
    let headless = Service {
        access: Access::Headless,
        ..service()
    };
    let pods = pods();
    assert_eq!(
        found(&headless, HTTP, &pods, &[]),
        ["home/old TCP/80", "home/new TCP/80"]
    );
    let any = Dialled::Number(Protocol::Udp, 5000);
    assert_eq!(
        found(&headless, any, &pods, &[]),
        ["home/old UDP/5000", "home/new UDP/5000"]
    );
    assert_eq!(
        found(&headless, Dialled::Name("http"), &pods, &[]),
        ["home/old TCP/8080", "home/new TCP/8081"]
    );
}

#[test]
fn slices_name_the_backends_of_a_service_without_a_selector() {
    let manual = Service {
        selector: None,
        ..service()
    };
    let mut pods = pods();
    pods[0].addresses = vec!["10.0.0.1".parse().unwrap()];
    pods[2].addresses = vec!["10.0.0.3".parse().unwrap()];
    pods.push(pod("infra", "h", []).at("192.0.2.1").state(PodState::HostNetwork));
    let slice = Slice {
        namespace: "home".into(),
        service: "web".into(),
        endpoints: ["10.0.0.1", "10.0.0.3", "192.0.2.1"]
            .map(|a| (a.parse().unwrap(), None))
            .into(),
        ports: vec![
            (Some("http".into()), Protocol::Tcp, 8080),
            (Some("metrics".into()), Protocol::Tcp, 1),
        ],
    };
    let elsewhere = Slice {
        namespace: "away".into(),
        ..slice.clone()
    };
    assert_eq!(
        found(&manual, HTTP, &pods, &[slice, elsewhere.clone()]),
        [
            "home/old TCP/8080",
            "10.0.0.3 TCP/8080",
            "host 192.0.2.1 TCP/8080"
        ],
        "the finished pod's address is anybody's"
    );
    assert_eq!(
        manual.backends(HTTP, &pods, &[elsewhere]).unwrap_err(),
        Unresolved::NoBackend
    );
}

#[test]
fn a_slice_that_names_a_pod_means_that_pod_whatever_address_is_known_of_it() {
    let manual = Service {
        selector: None,
        ..service()
    };
    let slice = Slice {
        namespace: "home".into(),
        service: "web".into(),
        endpoints: vec![("10.0.0.9".parse().unwrap(), Some("new".into()))],
        ports: vec![(Some("http".into()), Protocol::Tcp, 8080)],
    };
    assert_eq!(found(&manual, HTTP, &pods(), &[slice]), ["home/new TCP/8080"]);
}

#[test]
fn a_service_that_leads_nowhere_says_why() {
    let pods = pods();
    let alias = Service {
        access: Access::ExternalName,
        ..service()
    };
    assert_eq!(
        alias.backends(HTTP, &pods, &[]).unwrap_err(),
        Unresolved::ExternalName
    );
    let unknown = Dialled::Number(Protocol::Udp, 80);
    assert_eq!(
        service().backends(unknown, &pods, &[]).unwrap_err(),
        Unresolved::NoSuchPort
    );
    assert_eq!(
        service().backends(HTTP, &pods[2..3], &[]).unwrap_err(),
        Unresolved::NoBackend
    );
}

#[test]
fn trap_18_policies_judge_the_translated_port_and_never_the_one_that_is_dialled() {
    let client = pod("away", "c", []);
    let on = |port: u16| format!("{{podSelector: {{}}, ingress: [{{ports: [{{port: {port}}}]}}]}}");
    let dialled = Dialled::Name("metrics");
    assert_eq!(verdict(&[&on(9000)], &client, dialled), Verdict::Denied);
    assert_eq!(verdict(&[&on(9090)], &client, dialled), Verdict::Allowed);
    assert_eq!(
        verdict(&[&on(8080)], &client, HTTP),
        Verdict::Unknown(Unknown::EndsDiffer),
        "one backend is open, the other is not"
    );
}

#[test]
fn trap_22_a_pod_that_is_its_own_backend_is_undecided_once_it_is_policed() {
    let pods = pods();
    let shut = "{podSelector: {}, policyTypes: [Ingress]}";
    let alone = |specs: &[&str]| {
        let policies: Vec<Policy> = specs.iter().map(|spec| policy("home", spec)).collect();
        let backends = service().backends(HTTP, &pods[..1], &[]).unwrap();
        connection(
            &World::default(),
            &[],
            &policies,
            &Endpoint::Pod(&pods[0]),
            backends,
        )
        .verdict
    };
    assert_eq!(alone(&[]), Verdict::Allowed);
    assert_eq!(alone(&[shut]), Verdict::Unknown(Unknown::Hairpin));
}

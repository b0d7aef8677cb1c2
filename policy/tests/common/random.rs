//! Random policies in the API's shape over a small vocabulary, so that rules meet often, and the finite set of
//! ends and ports that this vocabulary can tell apart.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bulkhead_policy::v1::{
    IntOrString, IpBlock, LabelSelector, LabelSelectorRequirement, NetworkPolicyEgressRule,
    NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use bulkhead_policy::{Labels, NamedPort, Pod, PodState, Policy, Protocol, World, v1};
use proptest::prelude::*;

use super::brute::{BrutePod, End, LabelMap};

/// The namespace whose policies and pods are judged.
pub const HOME: &str = "n0";
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

fn selector_over(
    keys: &'static [&'static str],
    values: &'static [&'static str],
) -> impl Strategy<Value = LabelSelector> {
    let labels = prop::option::of(prop::collection::btree_map(
        prop::sample::select(keys).prop_map(str::to_owned),
        prop::sample::select(values).prop_map(str::to_owned),
        0..2,
    ));
    let value_list = prop::collection::vec(prop::sample::select(values).prop_map(str::to_owned), 1..3);
    let operators = prop::sample::select(&["In", "NotIn", "Exists", "DoesNotExist"][..]);
    let expression =
        (prop::sample::select(keys), operators, value_list).prop_map(|(key, operator, values)| {
            let lists = matches!(operator, "In" | "NotIn");
            LabelSelectorRequirement {
                key: key.to_owned(),
                operator: operator.to_owned(),
                values: lists.then_some(values),
            }
        });
    let expressions = prop::option::of(prop::collection::vec(expression, 0..2));
    (labels, expressions).prop_map(|(match_labels, match_expressions)| LabelSelector {
        match_labels,
        match_expressions,
    })
}

pub fn pod_selector() -> impl Strategy<Value = LabelSelector> {
    selector_over(&["a", "b"], &["x", "y"])
}

pub fn namespace_selector() -> impl Strategy<Value = LabelSelector> {
    prop_oneof![
        selector_over(&["t"], &["x"]),
        selector_over(&[NAME_LABEL], &["n0", "n1"]),
    ]
}

fn ip_block() -> impl Strategy<Value = IpBlock> {
    let blocks: &[(&str, &[&str])] = &[
        ("0.0.0.0/0", &["10.0.0.0/8", "192.168.0.0/16"]),
        ("::/0", &["fd00::/8"]),
        ("10.0.0.0/8", &["10.1.0.0/16"]),
        ("10.1.0.0/16", &[]),
        ("fd00::/8", &[]),
        ("128.0.0.0/1", &["192.168.0.0/16"]),
        ("0.0.0.0/1", &[]),
    ];
    (prop::sample::select(blocks), any::<bool>()).prop_map(|((cidr, holes), cut)| {
        let holes: Vec<String> = holes.iter().map(|&h| h.to_owned()).collect();
        IpBlock {
            cidr: cidr.to_owned(),
            except: cut.then_some(holes),
        }
    })
}

/// What random rules may contain.
#[derive(Clone, Copy)]
pub struct Vocabulary {
    pub blocks: bool,
    pub names: bool,
}

/// Everything that the API has.
pub const FULL: Vocabulary = Vocabulary {
    blocks: true,
    names: true,
};

fn peer(vocabulary: Vocabulary) -> impl Strategy<Value = NetworkPolicyPeer> {
    let selectors = (
        prop::option::of(pod_selector()),
        prop::option::of(namespace_selector()),
    )
        .prop_filter("a peer needs a selector", |(pods, namespaces)| {
            pods.is_some() || namespaces.is_some()
        })
        .prop_map(|(pod_selector, namespace_selector)| NetworkPolicyPeer {
            pod_selector,
            namespace_selector,
            ip_block: None,
        });
    let blocks = ip_block().prop_map(|block| NetworkPolicyPeer {
        ip_block: Some(block),
        ..NetworkPolicyPeer::default()
    });
    let weight = u32::from(vocabulary.blocks);
    prop_oneof![3 => selectors, weight => blocks]
}

fn port(vocabulary: Vocabulary) -> impl Strategy<Value = NetworkPolicyPort> {
    let protocol = prop::sample::select(&[None, Some("TCP"), Some("UDP"), Some("SCTP")][..]);
    let number = |n: i64| Some(IntOrString::Int(n));
    let ports = vec![
        (None, None),
        (number(80), None),
        (number(81), None),
        (number(80), Some(443)),
        (number(1), Some(79)),
        (number(81), Some(65535)),
    ];
    let named = vec![(Some(IntOrString::String("web".into())), None)];
    let weight = u32::from(vocabulary.names);
    let port = prop_oneof![4 => prop::sample::select(ports), weight => prop::sample::select(named)];
    (protocol, port).prop_map(|(protocol, (port, end_port))| NetworkPolicyPort {
        protocol: protocol.map(str::to_owned),
        port,
        end_port,
    })
}

type RawRule = (Option<Vec<NetworkPolicyPeer>>, Option<Vec<NetworkPolicyPort>>);

fn rule(vocabulary: Vocabulary) -> impl Strategy<Value = RawRule> {
    let peers = prop::option::of(prop::collection::vec(peer(vocabulary), 0..3));
    let ports = prop::option::of(prop::collection::vec(port(vocabulary), 0..3));
    (peers, ports)
}

fn rules(vocabulary: Vocabulary) -> impl Strategy<Value = Option<Vec<RawRule>>> {
    prop::option::of(prop::collection::vec(rule(vocabulary), 0..3))
}

/// A policy spec as somebody could have written it.
pub fn spec(vocabulary: Vocabulary) -> impl Strategy<Value = NetworkPolicySpec> {
    let types: &[Option<&[&str]>] = &[
        None,
        Some(&[]),
        Some(&["Ingress"]),
        Some(&["Egress"]),
        Some(&["Ingress", "Egress"]),
    ];
    let selector = prop_oneof![1 => Just(None), 1 => Just(Some(LabelSelector::default())), 1 => pod_selector().prop_map(Some)];
    (
        selector,
        prop::sample::select(types),
        rules(vocabulary),
        rules(vocabulary),
    )
        .prop_map(|(pod_selector, types, ingress, egress)| NetworkPolicySpec {
            pod_selector,
            policy_types: types.map(|t| t.iter().map(|&t| t.to_owned()).collect()),
            ingress: ingress.map(|rules| {
                rules
                    .into_iter()
                    .map(|(from, ports)| NetworkPolicyIngressRule { from, ports })
                    .collect()
            }),
            egress: egress.map(|rules| {
                rules
                    .into_iter()
                    .map(|(to, ports)| NetworkPolicyEgressRule { to, ports })
                    .collect()
            }),
        })
}

pub fn parsed(namespace: &str, spec: &NetworkPolicySpec) -> Arc<Policy> {
    Arc::new(v1::parse(namespace, "random", spec).unwrap())
}

/// Every label map that selectors over `keys` and `values` can tell apart.
fn label_maps(keys: &[&str], values: &[&str]) -> Vec<LabelMap> {
    let mut all = vec![LabelMap::new()];
    for key in keys {
        let with_value = |map: &LabelMap, value: &str| {
            let mut map = map.clone();
            map.insert((*key).to_owned(), value.to_owned());
            map
        };
        let extended: Vec<LabelMap> = all
            .iter()
            .flat_map(|map| values.iter().map(move |value| with_value(map, value)))
            .collect();
        all.extend(extended);
    }
    all
}

/// One address per set that the blocks of the vocabulary can tell apart.
pub fn addresses() -> Vec<IpAddr> {
    [
        "10.0.0.1",
        "10.1.0.1",
        "11.0.0.1",
        "192.168.0.1",
        "200.0.0.1",
        "fd00::1",
        "2001:db8::1",
    ]
    .map(|text| text.parse().unwrap())
    .to_vec()
}

/// The ports that the vocabulary can tell apart.
pub fn ports() -> Vec<(&'static str, u16)> {
    let numbers = [1, 79, 80, 81, 82, 443, 444, 7777, 65535];
    ["TCP", "UDP", "SCTP"]
        .into_iter()
        .flat_map(|protocol| numbers.map(|port| (protocol, port)))
        .collect()
}

pub fn declared_ports() -> Vec<Vec<(String, &'static str, u16)>> {
    vec![
        vec![],
        vec![("web".into(), "TCP", 80), ("web".into(), "UDP", 7777)],
    ]
}

/// Every peer that the vocabulary can tell apart, whether or not one cluster could hold them all.
pub fn every_peer() -> Vec<End> {
    let mut all: Vec<End> = addresses().into_iter().map(End::Address).collect();
    let namespaces = ["n0", "n1", "other"];
    let namespace_labels = label_maps(&["t"], &["x", "other"]);
    let pod_labels = label_maps(&["a", "b"], &["x", "y", "other"]);
    for (namespace, extra) in namespaces
        .iter()
        .flat_map(|n| namespace_labels.iter().map(move |l| (n, l)))
    {
        for labels in &pod_labels {
            for (at, ports) in declared_ports().into_iter().enumerate() {
                let address = if at == 0 { "200.0.0.7" } else { "2001:db8::7" };
                let mut namespace_labels = extra.clone();
                namespace_labels.insert(NAME_LABEL.to_owned(), (*namespace).to_owned());
                all.push(End::Pod(BrutePod {
                    namespace: (*namespace).to_owned(),
                    namespace_labels,
                    name: "peer".to_owned(),
                    labels: labels.clone(),
                    address: address.parse().unwrap(),
                    ports,
                    host_network: false,
                }));
            }
        }
    }
    all
}

/// Pods of the home namespace that policies can tell apart by their labels.
pub fn home_pod() -> impl Strategy<Value = BrutePod> {
    let labels = prop::sample::select(label_maps(&["a", "b"], &["x", "y", "other"]));
    (labels, prop::sample::select(declared_ports())).prop_map(|(labels, ports)| BrutePod {
        namespace: HOME.to_owned(),
        namespace_labels: BTreeMap::from([(NAME_LABEL.to_owned(), HOME.to_owned())]),
        name: "subject".to_owned(),
        labels,
        address: "200.0.0.9".parse().unwrap(),
        ports,
        host_network: false,
    })
}

/// A cluster of three namespaces with pods, some of them on the host network.
pub fn cluster() -> impl Strategy<Value = (World, Vec<BrutePod>)> {
    let namespace = prop::sample::select(label_maps(&["t"], &["x", "other"]));
    let namespaces = prop::array::uniform3(namespace);
    let pod = (
        0usize..3,
        prop::sample::select(label_maps(&["a", "b"], &["x", "y", "other"])),
        prop::sample::select(addresses()),
        prop::sample::select(declared_ports()),
        prop::bool::weighted(0.15),
    );
    (namespaces, prop::collection::vec(pod, 2..8)).prop_map(|(namespaces, pods)| {
        let names = ["n0", "n1", "n2"];
        let mut world = World::default();
        for (name, labels) in names.iter().zip(&namespaces) {
            world.set_namespace(*name, &labels.iter().map(|(k, v)| (&**k, &**v)).collect());
        }
        let pods = pods
            .into_iter()
            .enumerate()
            .map(|(at, (home, labels, address, ports, host_network))| {
                let mut namespace_labels = namespaces[home].clone();
                namespace_labels.insert(NAME_LABEL.to_owned(), names[home].to_owned());
                let namespace = names[home].to_owned();
                BrutePod {
                    namespace,
                    namespace_labels,
                    name: format!("p{at}"),
                    labels,
                    address,
                    ports,
                    host_network,
                }
            });
        (world, pods.collect())
    })
}

pub fn protocol(name: &str) -> Protocol {
    Protocol::parse(name).unwrap()
}

/// The crate's view of a brute-force pod.
pub fn as_pod(brute: &BrutePod) -> Pod {
    let labels: Labels = brute.labels.iter().map(|(k, v)| (&**k, &**v)).collect();
    let mut pod = Pod::new(&*brute.namespace, &*brute.name, labels);
    pod.addresses = vec![brute.address];
    let named = |(name, proto, port): &(String, &str, u16)| NamedPort {
        name: name.as_str().into(),
        protocol: protocol(proto),
        port: *port,
    };
    pod.ports = brute.ports.iter().map(named).collect();
    pod.state = if brute.host_network {
        PodState::HostNetwork
    } else {
        PodState::Networked
    };
    pod
}

//! Generated clusters, and what this process has used.
//!
//! The shapes follow a published dump of a real cluster (604 namespaces, 13.7 thousand policies, a median of
//! two peers in a rule, two fifths of them address blocks) and one about twenty times that size.
// Each benchmark uses a part of it; a failed unwrap ends the benchmark.
#![allow(dead_code, missing_docs, clippy::unwrap_used)]

use std::sync::Arc;

use bulkhead_policy::{
    Labels, NamedPort, Peer, Pod, Policy, Pool, PortRule, Protocol, Rule, Selector, World,
};

/// How much of everything a cluster has.
pub struct Shape {
    pub name: &'static str,
    pub namespaces: usize,
    pub workloads: usize,
    pub replicas: usize,
    pub policies: usize,
    /// Distinct labels for each pod, so that no two pods look the same.
    pub distinct: bool,
}

pub const SHAPES: [Shape; 5] = [
    Shape {
        name: "1,000 ns x 4 x 3, 5 policies",
        namespaces: 1_000,
        workloads: 4,
        replicas: 3,
        policies: 5,
        distinct: false,
    },
    Shape {
        name: "604 ns x 9, 22 policies",
        namespaces: 604,
        workloads: 9,
        replicas: 1,
        policies: 22,
        distinct: false,
    },
    Shape {
        name: "10,000 ns x 4 x 3, 5 policies",
        namespaces: 10_000,
        workloads: 4,
        replicas: 3,
        policies: 5,
        distinct: false,
    },
    Shape {
        name: "10,000 ns x 4 x 3, 22 policies",
        namespaces: 10_000,
        workloads: 4,
        replicas: 3,
        policies: 22,
        distinct: false,
    },
    Shape {
        name: "10,000 ns x 10 distinct, 5 policies",
        namespaces: 10_000,
        workloads: 10,
        replicas: 1,
        policies: 5,
        distinct: true,
    },
];

/// A small deterministic generator (xorshift): the same cluster in every run.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

pub fn cluster(shape: &Shape) -> (World, Vec<Pod>, Vec<Policy>) {
    let mut world = World::default();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut pool = Pool::default();
    let mut pods = Vec::with_capacity(shape.namespaces * shape.workloads * shape.replicas);
    let mut policies = Vec::with_capacity(shape.namespaces * shape.policies);
    let apps: Vec<Labels> = (0..shape.workloads)
        .map(|w| Labels::from([("app", format!("app-{w}"))]))
        .collect();
    let selectors = Selectors::new(shape);
    for namespace in 0..shape.namespaces {
        let name: Arc<str> = format!("ns-{namespace}").into();
        let labels = Labels::from([
            ("team", format!("team-{}", namespace % 50)),
            ("stage", format!("s{}", namespace % 3)),
        ]);
        world.set_namespace(name.clone(), &labels);
        for (workload, labels) in apps.iter().enumerate() {
            for replica in 0..shape.replicas {
                let labels = labels.clone();
                let labels = if shape.distinct {
                    labels.with("id", &format!("{namespace}-{workload}"))
                } else {
                    labels
                };
                let mut pod = Pod::new(name.clone(), format!("app-{workload}-{replica}"), labels);
                let at = u32::try_from(pods.len()).unwrap();
                pod.addresses = vec![std::net::Ipv4Addr::from(0x0a00_0000 + at).into()];
                pod.ports = vec![NamedPort {
                    name: "web".into(),
                    protocol: Protocol::Tcp,
                    port: 8080,
                }];
                pods.push(pool.pod(pod));
            }
        }
        for at in 0..shape.policies {
            policies.push(pool.policy(policy(&name, at, shape, &selectors, &mut random)));
        }
    }
    (world, pods, policies)
}

/// Selectors and names shared by all policies, as a reader that interns would share them.
pub struct Selectors {
    any: Selector,
    apps: Vec<Selector>,
    names: Vec<Selector>,
    teams: Vec<Selector>,
    policies: Vec<Arc<str>>,
}

impl Selectors {
    pub fn new(shape: &Shape) -> Self {
        let by = |key: &str, prefix: &str, count: usize| -> Vec<Selector> {
            (0..count)
                .map(|at| Selector::from([(key, &*format!("{prefix}-{at}"))]))
                .collect()
        };
        Self {
            any: Selector::everything(),
            apps: by("app", "app", shape.workloads),
            names: by("kubernetes.io/metadata.name", "ns", shape.namespaces),
            teams: by("team", "team", 50),
            policies: (0..shape.policies)
                .map(|at| format!("policy-{at}").into())
                .collect(),
        }
    }
}

pub fn policy(
    namespace: &Arc<str>,
    at: usize,
    shape: &Shape,
    selectors: &Selectors,
    random: &mut Random,
) -> Policy {
    let tcp = |port| vec![PortRule::number(Protocol::Tcp, port)];
    let own = Peer::Pods {
        namespaces: None,
        pods: Some(selectors.any.clone()),
    };
    let named = |at: usize| Peer::Pods {
        namespaces: Some(selectors.names[at].clone()),
        pods: None,
    };
    let any = || selectors.any.clone();
    let (pods, ingress, egress) = match at {
        0 => (any(), Some(vec![]), Some(vec![])),
        1 => {
            let inside = || {
                Some(vec![Rule {
                    peers: vec![own.clone()],
                    ports: vec![],
                }])
            };
            (any(), inside(), inside())
        }
        2 => (
            any(),
            Some(vec![Rule {
                peers: vec![named(0)],
                ports: tcp(9090),
            }]),
            None,
        ),
        3 => {
            let dns = [Protocol::Tcp, Protocol::Udp].map(|protocol| PortRule::number(protocol, 5353));
            (
                any(),
                None,
                Some(vec![Rule {
                    peers: vec![named(1)],
                    ports: dns.to_vec(),
                }]),
            )
        }
        _ => {
            let pods = selectors.apps[random.below(shape.workloads)].clone();
            let port = [80, 443, 5432, 6379, 8080, 8443][random.below(6)];
            let peers = (0..2).map(|_| peer(shape, selectors, random)).collect();
            let rule = vec![Rule {
                peers,
                ports: tcp(port),
            }];
            if at.is_multiple_of(3) {
                (pods, None, Some(rule))
            } else {
                (pods, Some(rule), None)
            }
        }
    };
    Policy {
        namespace: namespace.clone(),
        name: selectors.policies[at].clone(),
        pods,
        ingress,
        egress,
    }
}

fn peer(shape: &Shape, selectors: &Selectors, random: &mut Random) -> Peer {
    let app = |random: &mut Random| Some(selectors.apps[random.below(shape.workloads)].clone());
    match random.below(10) {
        0..4 => {
            let cidr = format!("172.{}.{}.0/24", 16 + random.below(16), random.below(20));
            Peer::IpBlock {
                cidr: cidr.parse().unwrap(),
                except: vec![],
            }
        }
        4..7 => Peer::Pods {
            namespaces: None,
            pods: app(random),
        },
        7..9 => {
            let namespace = selectors.names[random.below(shape.namespaces)].clone();
            Peer::Pods {
                namespaces: Some(namespace),
                pods: app(random),
            }
        }
        _ => Peer::Pods {
            namespaces: Some(selectors.teams[random.below(50)].clone()),
            pods: app(random),
        },
    }
}

/// A field of this process's status in megabytes, where the system tells.
pub fn memory(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes = line.and_then(|rest| rest.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<f64>().ok());
    kilobytes.map_or(f64::NAN, |kb| kb / 1024.0)
}

/// Seconds that this process has computed on all cores, where the system tells.
pub fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = |at: usize| {
        after_name
            .split_whitespace()
            .nth(at)
            .and_then(|t| t.parse::<f64>().ok())
    };
    ticks(11)
        .zip(ticks(12))
        .map_or(f64::NAN, |(user, system)| (user + system) / 100.0)
}

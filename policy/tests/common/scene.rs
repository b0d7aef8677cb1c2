//! Small clusters written down in YAML, for tests that tell a story.

use std::net::IpAddr;

use bulkhead_policy::v1::{Invalid, NetworkPolicySpec, parse};
use bulkhead_policy::{
    Dialect, Endpoint, Labels, NamedPort, Pod, PodState, Policy, Protocol, Traffic, Verdict, World,
    connection,
};

/// A cluster under construction.
#[derive(Default)]
pub struct Scene {
    pub world: World,
    pub policies: Vec<Policy>,
}

impl Scene {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn on(dialect: Dialect) -> Self {
        Self {
            world: World::new(dialect),
            policies: Vec::new(),
        }
    }

    pub fn namespace<const N: usize>(mut self, name: &str, labels: [(&str, &str); N]) -> Self {
        self.world.set_namespace(name, &Labels::from(labels));
        self
    }

    pub fn policy(mut self, namespace: &str, spec: &str) -> Self {
        self.policies.push(policy(namespace, spec));
        self
    }

    pub fn verdict(&self, from: Endpoint<'_>, to: Endpoint<'_>, traffic: Traffic) -> Verdict {
        connection(&self.world, &self.policies, &from, &to, traffic).verdict
    }

    pub fn allows(&self, from: Endpoint<'_>, to: Endpoint<'_>, traffic: Traffic) -> bool {
        match self.verdict(from, to, traffic) {
            Verdict::Allowed => true,
            Verdict::Denied => false,
            Verdict::Unknown(why) => panic!("undecided: {why}"),
        }
    }
}

pub fn read(spec: &str) -> Result<Policy, Invalid> {
    parse("home", "test", &yaml(spec))
}

pub fn yaml(spec: &str) -> NetworkPolicySpec {
    serde_yaml::from_str(spec).unwrap()
}

pub fn policy(namespace: &str, spec: &str) -> Policy {
    parse(namespace, "test", &yaml(spec)).unwrap()
}

/// The first complaint about a spec that the API server refuses, as `field: problem`.
pub fn complaint(spec: &str) -> String {
    read(spec).unwrap_err().0[0].to_string()
}

pub fn pod<const N: usize>(namespace: &str, name: &str, labels: [(&str, &str); N]) -> Pod {
    Pod::new(namespace, name, Labels::from(labels))
}

pub trait PodExt: Sized {
    fn at(self, address: &str) -> Self;
    fn port(self, name: &str, protocol: Protocol, port: u16) -> Self;
    fn state(self, state: PodState) -> Self;
    fn end(&self) -> Endpoint<'_>;
}

impl PodExt for Pod {
    fn at(mut self, address: &str) -> Self {
        self.addresses.push(address.parse().unwrap());
        self
    }

    fn port(mut self, name: &str, protocol: Protocol, port: u16) -> Self {
        self.ports.push(NamedPort {
            name: name.into(),
            protocol,
            port,
        });
        self
    }

    fn state(mut self, state: PodState) -> Self {
        self.state = state;
        self
    }

    fn end(&self) -> Endpoint<'_> {
        Endpoint::Pod(self)
    }
}

pub fn outside(address: &str) -> Endpoint<'static> {
    Endpoint::External(ip(address))
}

pub fn host(address: &str) -> Endpoint<'static> {
    Endpoint::Host {
        address: Some(ip(address)),
    }
}

fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

pub const fn tcp(port: u16) -> Traffic {
    Traffic::Port(Protocol::Tcp, port)
}

pub const fn udp(port: u16) -> Traffic {
    Traffic::Port(Protocol::Udp, port)
}

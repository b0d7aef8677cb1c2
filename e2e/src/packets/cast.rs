//! Who plays.

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::checker::facts::Facts;
use crate::checker::labels::Labels;
use crate::checker::objects::Protocol;

/// A port on which every pod listens and that nobody declares.
pub const UNDECLARED: u16 = 19_999;
/// Label of every pod and namespace that the stage made.
pub const MARK: &str = "packets.bulkhead.dev/member";

/// A member of the cast: like pods of one workload.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Member {
    pub namespace: String,
    pub name: String,
    pub plays: String,
    pub labels: Labels,
    pub host_network: bool,
    /// Ports that the facts name.
    pub ports: Vec<(Protocol, u16)>,
    /// Whether it also stands on the second node.
    pub everywhere: bool,
    /// Whether pods of the cluster's own play it, which are dialled and never asked to dial. In the written cast: where
    /// it has such pods.
    pub existing: bool,
}

/// A pod of a member.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Role {
    pub member: Member,
    /// Which node it stands on, counted from one.
    pub node: usize,
    /// Name of the pod.
    pub pod: String,
}

impl Role {
    /// How reports name it.
    pub fn id(&self) -> String {
        format!("{}/{}", self.member.namespace, self.pod)
    }
}

impl Member {
    /// Ports on which its pods echo. Host-network pods share the ports of their node, where an undeclared one more
    /// would collide.
    pub fn listens(&self) -> Vec<u16> {
        let mut ports: Vec<u16> = self.ports.iter().map(|(_, port)| *port).collect();
        if !self.host_network && !self.existing {
            ports.push(UNDECLARED);
        }
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    members: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Written {
    namespace: String,
    workload: Option<String>,
    name: Option<String>,
    plays: String,
    #[serde(default)]
    labels: Labels,
    #[serde(default)]
    host_network: bool,
    #[serde(default)]
    ports: Vec<WrittenPort>,
    #[serde(default)]
    everywhere: bool,
    #[serde(default)]
    existing: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPort {
    port: u16,
    #[serde(default)]
    protocol: Protocol,
}

/// The cast as it was when this was built, dressed by the facts.
pub fn built_in(facts: &Facts) -> anyhow::Result<Vec<Member>> {
    read(include_str!("../../cast.yaml"), facts).context("cast.yaml")
}

/// The cast of the job for operand bundles.
pub fn operands(facts: &Facts) -> anyhow::Result<Vec<Member>> {
    read(include_str!("../../cast-operands.yaml"), facts).context("cast-operands.yaml")
}

fn read(text: &str, facts: &Facts) -> anyhow::Result<Vec<Member>> {
    let file: File = bulkhead_api::yaml::from_str(text)?;
    let members: Vec<Member> = file
        .members
        .into_iter()
        .map(|written| dress(written, facts))
        .collect::<anyhow::Result<_>>()?;
    let mut names: Vec<_> = members.iter().map(|m| (&m.namespace, &m.name)).collect();
    names.sort();
    let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
    ensure!(
        twice.is_none(),
        "two members are called {twice:?}: give one a name"
    );
    Ok(members)
}

fn dress(written: Written, facts: &Facts) -> anyhow::Result<Member> {
    let Written {
        namespace, workload, ..
    } = written;
    let costume = match &workload {
        Some(workload) => Some(
            facts
                .costume(&namespace, workload)
                .with_context(|| format!("the facts know no workload {namespace}/{workload}"))?,
        ),
        None => None,
    };
    let name = written
        .name
        .or_else(|| workload.as_deref().map(plain))
        .with_context(|| format!("a member of {namespace} has neither workload nor name"))?;
    let (mut labels, mut ports) = (Labels::new(), Vec::new());
    let mut host_network = written.host_network;
    if let Some(costume) = costume {
        labels = costume.labels;
        ports = costume.ports;
        host_network |= costume.host_network;
    }
    labels.extend(written.labels);
    ports.extend(written.ports.iter().map(|p| (p.protocol, p.port)));
    Ok(Member {
        name,
        namespace,
        plays: written.plays,
        labels,
        host_network,
        ports,
        everywhere: written.everywhere,
        existing: written.existing,
    })
}

/// A workload's name as a pod can bear it.
fn plain(name: &str) -> String {
    let kept = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
    let text: String = kept.collect();
    text.split('-')
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}

/// The pods: everybody on the first node, and on the second one who stands everywhere.
pub fn roles(members: &[Member], nodes: usize) -> Vec<Role> {
    let mut roles = Vec::new();
    for member in members {
        let last = if member.everywhere { nodes.min(2) } else { 1 };
        roles.extend((1..=last).map(|node| Role {
            member: member.clone(),
            node,
            pod: format!("{}-{node}", member.name),
        }));
    }
    roles
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::Rules;

    fn facts() -> Facts {
        (*Rules::built_in().unwrap().facts).clone()
    }

    #[test]
    fn the_cast_of_the_repository_is_dressed_by_the_facts() {
        let members = built_in(&facts()).unwrap();
        let named = |name: &str| members.iter().find(|m| m.name == name).unwrap();
        assert_eq!(named("metrics-server").ports, [(Protocol::Tcp, 10_250)]);
        assert_eq!(named("router-ingresscontroller").labels.len(), 1);
        assert!(named("kube-apiserver").host_network && !named("catalog-pods").labels.is_empty());
        assert!(named("dns-default").existing);
        let two = roles(&members, 2);
        assert!(two.len() > members.len() && roles(&members, 1).len() == members.len());
    }

    #[test]
    fn a_member_that_nobody_knows_is_an_error() {
        let unknown = "members: [{namespace: openshift-dns, workload: nobody, plays: x}]";
        assert!(
            read(unknown, &facts())
                .unwrap_err()
                .to_string()
                .contains("nobody")
        );
        let twice = "members: [{namespace: a, name: b, plays: x}, {namespace: a, name: b, plays: y}]";
        assert!(
            read(twice, &facts())
                .unwrap_err()
                .to_string()
                .contains("two members")
        );
        let nameless = "members: [{namespace: a, plays: x}]";
        assert!(read(nameless, &facts()).is_err());
    }

    #[test]
    fn names_become_names_of_pods() {
        assert_eq!(plain("catalog pods"), "catalog-pods");
        assert_eq!(plain("router-<ingresscontroller>"), "router-ingresscontroller");
    }
}

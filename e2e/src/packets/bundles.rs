//! Who must get through and who must not while bundles are in force, from the facts about operands
//! (`e2e/operands.yaml`). The code that makes bundles has no say here.

use std::collections::BTreeSet;

use super::cast::Role;
use super::truth::{Attempt, Expect, Expected, OWN_NODE, because};
use crate::checker::objects::Protocol;
use crate::checker::operands::{Line, Table, Who};

/// What the facts about operands make of connections.
pub struct BundleTruth<'a> {
    tables: &'a [Table],
    in_force: bool,
    /// Namespaces in which somebody may enter what strangers may not.
    guests: BTreeSet<&'a str>,
}

/// A side of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Ingress,
    Egress,
}

impl<'a> BundleTruth<'a> {
    /// With bundles in force, or without any.
    pub fn new(tables: &'a [Table], in_force: bool) -> Self {
        let lines = tables.iter().flat_map(|t| &t.required);
        let guests = lines.filter_map(|line| match &line.ingress {
            Some(Who::Pod { namespace, .. }) => Some(namespace.as_str()),
            _ => None,
        });
        Self {
            tables,
            in_force,
            guests: guests.collect(),
        }
    }

    /// What must become of it: both sides have to let it pass.
    pub fn of(&self, attempt: Attempt<'_>) -> Expected {
        let (ingress, egress) = (self.ingress(attempt), self.egress(attempt));
        let worst = |expect| match expect {
            Expect::MustNot => 0,
            Expect::Fallback | Expect::Open => 1,
            Expect::Must => 2,
        };
        if worst(egress.expect) < worst(ingress.expect) {
            egress
        } else {
            ingress
        }
    }

    fn ingress(&self, Attempt { client, server, port }: Attempt<'_>) -> Expected {
        if server.member.host_network {
            return because(Expect::Must, "no policy applies to the host network");
        }
        if client.member.host_network && client.node == server.node {
            return because(Expect::Must, "a node always reaches its own pods");
        }
        let table = match self.isolated(server) {
            Ok(table) => table,
            Err(expected) => return expected,
        };
        if self.required(table, Side::Ingress, client, port) {
            return because(Expect::Must, "the facts about operands require it");
        }
        let named = lines(table, Side::Ingress).any(|(_, line)| has(line, port));
        if named && self.guests.contains(client.member.namespace.as_str()) {
            return because(Expect::Open, "a guest whom this line does not name");
        }
        because(Expect::MustNot, "the operand's namespace is closed to it")
    }

    fn egress(&self, Attempt { client, server, port }: Attempt<'_>) -> Expected {
        if client.member.host_network {
            return because(Expect::Must, "no policy applies to the host network");
        }
        let table = match self.isolated(client) {
            Ok(table) => table,
            Err(expected) => return expected,
        };
        if self.required(table, Side::Egress, server, port) {
            return because(Expect::Must, "the facts about operands require it");
        }
        if server.member.host_network && client.node == server.node {
            return because(Expect::Open, OWN_NODE);
        }
        if lines(table, Side::Egress).any(|(_, line)| has(line, port)) {
            return because(Expect::Open, "the port is opened to somebody else");
        }
        because(Expect::MustNot, "the operand has no business there")
    }

    /// The table of a pod that a bundle isolates, or what holds for one that none does.
    fn isolated(&self, role: &Role) -> Result<&'a Table, Expected> {
        let namespace = &role.member.namespace;
        let found = self
            .tables
            .iter()
            .find(|t| t.selects(namespace, &role.member.labels));
        match found {
            _ if !self.in_force => Err(because(Expect::Must, "no bundle is in force")),
            Some(table) if !table.forbidden.is_empty() => Ok(table),
            Some(_) => Err(because(Expect::Must, "a neighbour that no deny may touch")),
            None if self.tables.iter().any(|t| t.namespace == *namespace) => {
                Err(because(Expect::Open, "the facts do not tell of this pod"))
            }
            None => Err(because(Expect::Must, "no bundle is about it")),
        }
    }

    fn required(&self, table: &Table, side: Side, other: &Role, port: (Protocol, u16)) -> bool {
        lines(table, side).any(|(who, line)| has(line, port) && includes(who, other))
    }
}

/// Required lines of one side, with their peers.
fn lines(table: &Table, side: Side) -> impl Iterator<Item = (&Who, &Line)> {
    table.required.iter().filter_map(move |line| {
        let who = if side == Side::Ingress {
            &line.ingress
        } else {
            &line.egress
        };
        Some((who.as_ref()?, line))
    })
}

fn has(line: &Line, port: (Protocol, u16)) -> bool {
    // A port that cannot be read was refused when the tables were.
    line.ports.iter().any(|p| p.port().is_ok_and(|p| p == port))
}

/// Whether a peer is meant. `any` leaves nobody out; processes on hosts are as far outside as addresses are.
fn includes(who: &Who, role: &Role) -> bool {
    match who {
        Who::Word(word) if word == "any" => true,
        Who::Word(_) => role.member.host_network,
        Who::Pod { namespace, labels } => {
            !role.member.host_network
                && role.member.namespace == *namespace
                && labels.iter().all(|(k, v)| role.member.labels.get(k) == Some(v))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::Rules;
    use crate::packets::cast;
    use crate::packets::truth::attempts;

    fn expectations(in_force: bool) -> Vec<(String, Expect)> {
        let rules = Rules::built_in().unwrap();
        let roles = cast::roles(&cast::operands(&rules.facts).unwrap(), 2);
        let truth = BundleTruth::new(&rules.operands, in_force);
        let told = |a: Attempt<'_>| {
            let key = format!("{} {} {}", a.client.id(), a.server.id(), a.port.1);
            (key, truth.of(a).expect)
        };
        attempts(&roles)
            .into_iter()
            .filter(|a| a.port.0 == Protocol::Tcp)
            .map(told)
            .collect()
    }

    #[test]
    fn bundles_admit_whom_the_facts_name_and_nobody_else() {
        let all = expectations(true);
        let expect = |key: &str| {
            all.iter()
                .find(|(k, _)| k == key)
                .unwrap_or_else(|| panic!("{key}"))
                .1
        };
        for (key, wanted) in [
            ("tenant-a/shop-2 cert-manager/webhook-1 10250", Expect::Must),
            ("tenant-a/shop-2 cert-manager/webhook-1 6080", Expect::MustNot),
            (
                "tenant-a/shop-2 external-secrets/controller-1 8080",
                Expect::MustNot,
            ),
            (
                "openshift-monitoring/prometheus-k8s-2 external-secrets/controller-1 8080",
                Expect::Must,
            ),
            (
                "openshift-monitoring/prometheus-k8s-2 external-secrets/webhook-1 8080",
                Expect::Open,
            ),
            (
                "openshift-kube-apiserver/kube-apiserver-2 external-secrets/webhook-1 10250",
                Expect::Must,
            ),
            (
                "openshift-kube-apiserver/kube-apiserver-2 external-secrets/webhook-1 8081",
                Expect::MustNot,
            ),
            (
                "openshift-kube-apiserver/kube-apiserver-1 external-secrets/webhook-1 8081",
                Expect::Must,
            ),
            (
                "zero-trust-workload-identity-manager/spire-agent-2 zero-trust-workload-identity-manager/spire-server-1 8081",
                Expect::Must,
            ),
            (
                "zero-trust-workload-identity-manager/spire-agent-2 tenant-a/shop-1 443",
                Expect::MustNot,
            ),
            (
                "zero-trust-workload-identity-manager/oidc-1 openshift-dns/dns-default-1 5353",
                Expect::MustNot,
            ),
            (
                "zero-trust-workload-identity-manager/spire-agent-1 openshift-dns/dns-default-1 5353",
                Expect::Must,
            ),
            ("tenant-a/shop-2 istio-system/istio-csr-1 6443", Expect::MustNot),
            ("tenant-a/shop-2 istio-system/istiod-1 19999", Expect::Must),
        ] {
            assert_eq!(expect(key), wanted, "{key}");
        }
    }

    #[test]
    fn without_bundles_everything_is_open() {
        let all = expectations(false);
        assert!(all.len() > 500, "{}", all.len());
        assert!(all.iter().all(|(_, expect)| *expect == Expect::Must));
    }
}

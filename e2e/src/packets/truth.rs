//! Who must get through and who must not, from facts and hand-written pairs. Neither the catalog nor the policy
//! engine has a say here.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cast::{Role, UNDECLARED};
use crate::checker::Rules;
use crate::checker::needs::{Home, Need, Party, Who};
use crate::checker::objects::Protocol;
use crate::checker::pairs::Expectation;

/// Why nothing is expected of what a pod with isolated egress dials on its own node.
pub const OWN_NODE: &str = "plugins differ about a pod's own node";
/// Where the API server's webhooks are also dialled from.
const KAS_OPERATOR: &str = "openshift-kube-apiserver-operator";

/// The mode in which a namespace is meant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything gets in and out.
    Unrestricted,
    /// Closed for ingress, and for egress where `egress` says so.
    Restricted {
        /// Whether egress is isolated.
        egress: bool,
    },
}

/// Modes of all system namespaces; what is not a system namespace is not in any mode.
#[derive(Clone, Debug)]
pub struct Modes {
    /// Of the cluster.
    pub cluster: Mode,
    /// Of namespaces with an override.
    pub overrides: BTreeMap<String, Mode>,
}

impl Modes {
    /// The same everywhere.
    pub fn all(cluster: Mode) -> Self {
        Self {
            cluster,
            overrides: BTreeMap::new(),
        }
    }

    /// The mode of a namespace.
    pub fn of(&self, namespace: &str) -> Mode {
        if !namespace.starts_with("openshift-") {
            return Mode::Unrestricted;
        }
        self.overrides.get(namespace).copied().unwrap_or(self.cluster)
    }
}

/// What is expected of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expect {
    /// It must get through.
    Must,
    /// It must not.
    MustNot,
    /// It should not, but the port has clients on the host network, and where the plugin cannot select those, the
    /// rule admits every source. Status has to say so.
    Fallback,
    /// The facts do not say: the client shares its namespace with one that is admitted, or the like.
    Open,
}

/// An expectation and where it comes from.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Expected {
    pub expect: Expect,
    pub why: Arc<str>,
}

/// An expectation with its reason.
pub(super) fn because(expect: Expect, why: &str) -> Expected {
    Expected {
        expect,
        why: why.into(),
    }
}

/// What the facts make of connections.
pub struct Truth<'a> {
    /// Facts and pairs.
    pub rules: &'a Rules,
    /// Which namespace is in which mode.
    pub modes: &'a Modes,
    /// Whether the plugin cannot select the host network, so that rules for it fall back to their ports.
    pub fallback: bool,
}

/// A connection that can be tried.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Attempt<'a> {
    pub client: &'a Role,
    pub server: &'a Role,
    pub port: (Protocol, u16),
}

impl Truth<'_> {
    /// What must become of it: both sides have to let it pass.
    pub fn of(&self, attempt: Attempt<'_>) -> Expected {
        let (ingress, egress) = (self.ingress(attempt), self.egress(attempt));
        match (ingress.expect, egress.expect) {
            (Expect::MustNot, _) => ingress,
            (_, Expect::MustNot) | (Expect::Must, _) => egress.or(ingress),
            (_, Expect::Open) => egress,
            (Expect::Fallback | Expect::Open, _) => ingress,
        }
    }

    fn ingress(&self, Attempt { client, server, port }: Attempt<'_>) -> Expected {
        let (namespace, labels) = (&server.member.namespace, &server.member.labels);
        if server.member.host_network {
            return because(Expect::Must, "no policy applies to the host network");
        }
        if client.member.host_network && client.node == server.node {
            return because(Expect::Must, "a node always reaches its own pods");
        }
        if self.modes.of(namespace) == Mode::Unrestricted {
            return because(Expect::Must, "the server's namespace is open");
        }
        let facts = &self.rules.facts;
        let mut needs = self.clients(server);
        let party = party(client);
        if let Some(need) = needs.iter().find(|need| need.includes(namespace, &party, port)) {
            return because(Expect::Must, &need.why);
        }
        if self.fallback
            && let Some(need) = needs.iter().find(|n| n.who == Who::Host && has(n, port))
        {
            return because(Expect::Fallback, &need.why);
        }
        let forbidding = self
            .rules
            .pairs
            .ending_at(namespace, labels, Expectation::Forbidden);
        let forbids = |p: &&crate::checker::pairs::Pair| {
            (p.protocol, p.port) == port && p.from.who().includes(namespace, &party)
        };
        if let Some(pair) = forbidding.into_iter().find(forbids) {
            return because(Expect::MustNot, &format!("pair: {}", pair.fact));
        }
        needs.extend(facts.may_enter(namespace, labels));
        let webhooks = Who::pods(Home::Named(vec![KAS_OPERATOR.to_owned()]));
        let maybe = needs.iter().any(|need| {
            let through_api_server = need.who == Who::Host && webhooks.includes(namespace, &party);
            has(need, port) && (generous(need).who.includes(namespace, &party) || through_api_server)
        });
        if maybe || facts.listens_on_unknown(namespace, labels, port) {
            return because(Expect::Open, "whole namespaces are clients");
        }
        because(Expect::MustNot, "no fact names this client")
    }

    /// The clients of a server.
    fn clients(&self, server: &Role) -> Vec<Need> {
        let (namespace, labels) = (&server.member.namespace, &server.member.labels);
        let mut needs = self.rules.facts.ingress(namespace, labels);
        needs.extend(self.rules.pairs.needs(namespace, labels).0);
        needs
    }

    /// A pod may dial what it needs, and every server that names it as a client.
    fn egress(&self, Attempt { client, server, port }: Attempt<'_>) -> Expected {
        let (namespace, labels) = (&client.member.namespace, &client.member.labels);
        let isolated = self.modes.of(namespace) == Mode::Restricted { egress: true };
        if client.member.host_network || !isolated {
            return because(Expect::Must, "egress is not isolated");
        }
        let mut needs = self.rules.facts.egress(namespace, labels);
        needs.extend(self.rules.pairs.needs(namespace, labels).1);
        let (to, from) = (party(server), party(client));
        if let Some(need) = needs.iter().find(|need| need.includes(namespace, &to, port)) {
            return because(Expect::Must, &need.why);
        }
        // A server on the host network has no set in which it could name clients.
        let clients = if server.member.host_network {
            Vec::new()
        } else {
            self.clients(server)
        };
        let home = &server.member.namespace;
        if let Some(need) = clients.iter().find(|need| need.includes(home, &from, port)) {
            return because(Expect::Must, &need.why);
        }
        if server.member.host_network && client.node == server.node {
            return because(Expect::Open, OWN_NODE);
        }
        if needs.iter().any(|need| need.who == Who::External) {
            return because(
                Expect::Open,
                "what leads out of the cluster has no ports of its own",
            );
        }
        let maybe = |need: &Need, home: &str, party: &Party<'_>| {
            has(need, port) && generous(need).who.includes(home, party)
        };
        // Addresses of nodes cannot be named portably, so what leads there is declared by its port.
        let to_hosts = |need: &Need| need.who == Who::Host && has(need, port);
        let wide = needs
            .iter()
            .any(|need| to_hosts(need) || maybe(need, namespace, &to))
            || clients.iter().any(|need| maybe(need, home, &from));
        if wide {
            return because(Expect::Open, "egress names whole namespaces, and ports of hosts");
        }
        because(Expect::MustNot, "no fact names this destination")
    }
}

impl Expected {
    /// This one unless it only says that nothing stands in the way.
    fn or(self, other: Self) -> Self {
        if self.expect == Expect::Must && other.expect == Expect::Must {
            return other;
        }
        self
    }
}

fn party(role: &Role) -> Party<'_> {
    if role.member.host_network {
        return Party::Host;
    }
    Party::Pod {
        namespace: &role.member.namespace,
        labels: &role.member.labels,
    }
}

fn has(need: &Need, port: (Protocol, u16)) -> bool {
    need.ports.iter().any(|span| span.contains(port))
}

/// The most that a declaration can mean which serves the need: whole namespaces, and everybody where the outside is
/// a client.
fn generous(need: &Need) -> Need {
    let who = match &need.who {
        Who::External => Who::Everyone,
        other => other.widened(),
    };
    Need { who, ..need.clone() }
}

/// Every connection of the cast that is worth a try: each pod to each declared port of each server on the first
/// node, over both protocols, and to one port that nobody declares.
pub fn attempts(roles: &[Role]) -> Vec<Attempt<'_>> {
    let mut attempts = Vec::new();
    for server in roles.iter().filter(|role| role.node == 1) {
        for client in roles
            .iter()
            .filter(|c| !c.member.existing && !same_place(c, server))
        {
            for port in server.member.listens() {
                for protocol in [Protocol::Tcp, Protocol::Udp] {
                    // One protocol is enough for what nobody names, and a server that does not echo shows nothing
                    // over a protocol that it does not serve.
                    let unanswered =
                        server.member.existing && !server.member.ports.contains(&(protocol, port));
                    if unanswered || (port == UNDECLARED && protocol == Protocol::Udp) {
                        continue;
                    }
                    attempts.push(Attempt {
                        client,
                        server,
                        port: (protocol, port),
                    });
                }
            }
        }
    }
    attempts
}

/// The same pod, or two that share the network of one node: no policy ever sees what passes between them.
fn same_place(a: &Role, b: &Role) -> bool {
    let both_hosts = a.member.host_network && b.member.host_network && a.node == b.node;
    both_hosts
        || (a.node == b.node && a.member.namespace == b.member.namespace && a.member.name == b.member.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packets::cast;

    const CLOSED: Mode = Mode::Restricted { egress: false };
    const CLOSED_BOTH: Mode = Mode::Restricted { egress: true };

    struct Play {
        rules: Rules,
        roles: Vec<Role>,
    }

    impl Play {
        fn new() -> Self {
            let rules = Rules::built_in().unwrap();
            let roles = cast::roles(&cast::built_in(&rules.facts).unwrap(), 2);
            Self { rules, roles }
        }

        fn role(&self, id: &str) -> &Role {
            self.roles
                .iter()
                .find(|r| r.id() == id)
                .unwrap_or_else(|| panic!("{id}"))
        }

        fn expect(&self, modes: &Modes, fallback: bool, client: &str, server: &str, port: u16) -> Expect {
            self.expect_by(modes, fallback, client, server, (Protocol::Tcp, port))
        }

        fn expect_by(
            &self,
            modes: &Modes,
            fallback: bool,
            client: &str,
            server: &str,
            port: (Protocol, u16),
        ) -> Expect {
            let truth = Truth {
                rules: &self.rules,
                modes,
                fallback,
            };
            let (client, server) = (self.role(client), self.role(server));
            truth.of(Attempt { client, server, port }).expect
        }
    }

    #[test]
    fn a_closed_cluster_admits_declared_clients_only() {
        let (play, closed) = (Play::new(), Modes::all(CLOSED));
        let expect = |client, server, port| play.expect(&closed, false, client, server, port);
        let scraper = "openshift-monitoring/prometheus-k8s-2";
        assert_eq!(
            expect(scraper, "openshift-dns-operator/dns-operator-1", 9393),
            Expect::Must
        );
        assert_eq!(
            expect("tenant-a/shop-2", "openshift-dns-operator/dns-operator-1", 9393),
            Expect::MustNot
        );
        assert_eq!(
            expect("tenant-a/shop-2", "openshift-dns/dns-default-1", 5353),
            Expect::Must
        );
        assert_eq!(
            expect(
                "tenant-a/shop-2",
                "openshift-image-registry/image-registry-1",
                UNDECLARED
            ),
            Expect::MustNot
        );
        assert_eq!(
            expect("tenant-a/shop-1", "tenant-b/scanner-1", 8080),
            Expect::Must,
            "tenants are left alone"
        );
        let udp = (Protocol::Udp, 9393);
        let over_udp = play.expect_by(
            &closed,
            false,
            scraper,
            "openshift-dns-operator/dns-operator-1",
            udp,
        );
        assert_eq!(over_udp, Expect::MustNot, "declared for TCP");
    }

    #[test]
    fn an_open_cluster_admits_everybody_everywhere() {
        let (play, open) = (Play::new(), Modes::all(Mode::Unrestricted));
        let truth = Truth {
            rules: &play.rules,
            modes: &open,
            fallback: true,
        };
        let attempts = attempts(&play.roles);
        assert!(attempts.len() > 2_000, "{}", attempts.len());
        assert!(attempts.iter().all(|a| truth.of(*a).expect == Expect::Must));
    }

    #[test]
    fn hosts_are_told_apart_by_their_node_and_by_what_the_plugin_can_select() {
        let (play, closed) = (Play::new(), Modes::all(CLOSED));
        let webhook = "openshift-multus/multus-admission-controller-1";
        let tenant = |fallback| play.expect(&closed, fallback, "tenant-a/shop-1", webhook, 6443);
        assert_eq!((tenant(false), tenant(true)), (Expect::MustNot, Expect::Fallback));
        let host = "openshift-kube-apiserver/kube-apiserver-2";
        assert_eq!(play.expect(&closed, false, host, webhook, 6443), Expect::Must);
        let metrics = "openshift-dns-operator/dns-operator-1";
        assert_eq!(play.expect(&closed, false, host, metrics, 9393), Expect::MustNot);
        let own_node = "openshift-kube-apiserver/kube-apiserver-1";
        assert_eq!(play.expect(&closed, false, own_node, metrics, 9393), Expect::Must);
    }

    #[test]
    fn isolated_egress_needs_both_sides() {
        let (play, both) = (Play::new(), Modes::all(CLOSED_BOTH));
        let expect = |client, server, port| play.expect(&both, false, client, server, port);
        let catalogs = "openshift-marketplace/catalog-pods-1";
        assert_eq!(
            expect(
                "openshift-operator-lifecycle-manager/catalog-operator-2",
                catalogs,
                50_051
            ),
            Expect::Must
        );
        let downloads = "openshift-console/downloads-1";
        assert_eq!(
            expect(downloads, "tenant-a/shop-1", 8080),
            Expect::MustNot,
            "it dials nobody"
        );
        let operator = "openshift-dns-operator/dns-operator-1";
        assert_eq!(
            expect(operator, "openshift-monitoring/prometheus-k8s-1", 9091),
            Expect::Must,
            "it dials nobody there, but the server names every pod as a client"
        );
        let api_port = play.expect(&both, true, operator, "istio-system/istio-csr-1", 6443);
        assert_eq!(api_port, Expect::Open, "the API server is declared by its port");
        let ingress_only = Modes::all(CLOSED);
        assert_eq!(
            play.expect(&ingress_only, false, downloads, "tenant-a/shop-1", 8080),
            Expect::Must
        );
    }

    #[test]
    fn an_override_counts_for_its_namespace_alone() {
        let play = Play::new();
        let mut modes = Modes::all(CLOSED);
        modes
            .overrides
            .insert("openshift-dns-operator".to_owned(), Mode::Unrestricted);
        let tenant = "tenant-a/shop-1";
        let expect = |server, port| play.expect(&modes, false, tenant, server, port);
        assert_eq!(
            expect("openshift-dns-operator/dns-operator-1", 9393),
            Expect::Must
        );
        assert_eq!(
            expect("openshift-network-console/networking-console-plugin-1", 9443),
            Expect::MustNot
        );
    }
}

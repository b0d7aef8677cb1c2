//! What can be found out about SPIRE.

use serde_json::Value;

use super::{
    Objects, Source, datastore, json, proxy, url,
    workloads::{self, NAME},
};
use crate::operands::facts::{Ports, Spire, Warning};

const OPERATOR: &str = "zero-trust-workload-identity-manager";
const COMPONENTS: [&str; 4] = [
    "spire-server",
    "spire-agent",
    "spiffe-oidc-discovery-provider",
    "spiffe-csi-driver",
];

/// The facts about SPIRE.
pub fn facts(objects: &Objects) -> Spire {
    let server = objects.singleton(Source::SpireServer);
    let mut warnings = Vec::new();
    let workloads = [
        workloads::with_label(objects, "name", OPERATOR),
        workloads::with_label(objects, NAME, "spire-server"),
    ];
    Spire {
        present: present(objects),
        operator_metrics: operator_metrics(objects),
        federation: federation(objects, server, &mut warnings),
        datastore: database(server),
        proxy: proxy::ports(&[], &workloads, objects, &mut warnings),
        warnings,
    }
}

fn present(objects: &Objects) -> bool {
    let kinds = [Source::Ztwim, Source::SpireServer];
    kinds.iter().any(|kind| !objects.of(*kind).is_empty())
        || workloads::exists(objects, "name", OPERATOR)
        || COMPONENTS
            .iter()
            .any(|name| workloads::exists(objects, NAME, name))
}

/// 8443, and the other port if the environment or the command line says so.
fn operator_metrics(objects: &Objects) -> Ports {
    let mut ports = Ports::from([8443]);
    let Some(operator) = workloads::with_label(objects, "name", OPERATOR) else {
        return ports;
    };
    let address = operator
        .env("METRICS_BIND_ADDRESS")
        .or_else(|| operator.flag("metrics-bind-address"));
    let insecure = operator
        .env("METRICS_SECURE")
        .or_else(|| operator.flag("metrics-secure"))
        .is_some_and(|v| v.eq_ignore_ascii_case("false"));
    match address.map(workloads::port_of_address) {
        Some(port) => ports.extend(port),
        None if insecure => drop(ports.insert(8080)),
        None => {}
    }
    ports
}

/// Peers are reached on 443, where Routes listen, on 8443 and on any port that a URL names.
fn federation(objects: &Objects, server: Option<&Value>, warnings: &mut Vec<Warning>) -> Option<Ports> {
    let own = server.and_then(|s| json::at(s, "/spec/federation"));
    let dynamic = objects.of(Source::FederatedTrustDomain);
    if own.is_none() && dynamic.is_empty() && !(server.is_none() && listens_for_federation(objects)) {
        return None;
    }
    let own_urls = own.into_iter().flat_map(|federation| {
        let acme = json::text(federation, "/bundleEndpoint/httpsWeb/acme/directoryUrl");
        let peers = json::list(federation, "/federatesWith").iter();
        acme.into_iter()
            .chain(peers.filter_map(|p| json::text(p, "/bundleEndpointUrl")))
    });
    let dynamic_urls = dynamic
        .iter()
        .filter_map(|d| json::text(d, "/spec/bundleEndpointURL"));
    let mut ports = Ports::from([443, 8443]);
    for found in own_urls.chain(dynamic_urls).map(url::port) {
        match found {
            Some(port) => drop(ports.insert(port)),
            None => warnings.push(Warning::new(
                "MalformedBundleEndpoint",
                "a bundle endpoint or ACME directory is no https URL, so its port is not opened; correct \
                 spec.federation of the SpireServer or bundleEndpointURL of the ClusterFederatedTrustDomain",
            )),
        }
    }
    Some(ports)
}

/// Without a SpireServer to ask, its StatefulSet tells.
fn listens_for_federation(objects: &Objects) -> bool {
    workloads::with_label(objects, NAME, "spire-server")
        .is_some_and(|w| w.ports().any(|(name, _)| name == Some("federation")))
}

fn database(server: Option<&Value>) -> Ports {
    let field = |name: &str| {
        server
            .and_then(|s| json::text(s, &format!("/spec/datastore/{name}")))
            .unwrap_or_default()
    };
    datastore::ports(field("databaseType"), field("connectionString"))
}

//! Reads Services and what is behind them; what they mean is the engine's.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bulkhead_policy::lint::ServicePort as LintPort;
use bulkhead_policy::services::{Access, Dialled, Service, ServicePort, Slice, Target};
use bulkhead_policy::{Pod, Protocol, Selector};
use serde::Deserialize;

use super::Object;
use super::object::Kind;

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    selector: Option<BTreeMap<String, String>>,
    ports: Option<Vec<RawPort>>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Option<Vec<String>>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPort {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    protocol: Option<String>,
    port: u16,
    #[serde(default)]
    target_port: Option<RawTarget>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawTarget {
    Number(u16),
    Name(String),
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct RawSlice {
    endpoints: Option<Vec<RawEndpoint>>,
    ports: Option<Vec<RawSlicePort>>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct RawEndpoint {
    addresses: Vec<String>,
    target_ref: Option<TargetRef>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TargetRef {
    kind: String,
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawSlicePort {
    name: Option<String>,
    protocol: Option<String>,
    port: Option<u16>,
}

fn protocol(name: Option<&str>) -> Option<Protocol> {
    Protocol::parse(name.unwrap_or("TCP"))
}

/// Reads a Service.
pub fn service(object: &Object) -> Result<Service, serde_json::Error> {
    let spec: Spec = object.part("/spec")?.unwrap_or_default();
    let access = match spec.kind.as_deref() {
        Some("ExternalName") => Access::ExternalName,
        _ if spec.cluster_ip.as_deref() == Some("None") => Access::Headless,
        _ => Access::Translated,
    };
    let addresses = spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip);
    let mut addresses: Vec<IpAddr> = addresses.filter_map(|ip| ip.parse().ok()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let ports = spec.ports.into_iter().flatten().filter_map(|raw| {
        let target = match raw.target_port {
            None | Some(RawTarget::Number(0)) => Target::Number(raw.port),
            Some(RawTarget::Number(number)) => Target::Number(number),
            Some(RawTarget::Name(name)) => name
                .parse()
                .map_or_else(|_| Target::Name(name.into()), Target::Number),
        };
        let protocol = protocol(raw.protocol.as_deref())?;
        Some(ServicePort {
            name: named(raw.name),
            protocol,
            port: raw.port,
            target,
        })
    });
    let selector = spec.selector.filter(|s| !s.is_empty());
    Ok(Service {
        namespace: object.namespace.clone(),
        name: object.name.clone(),
        selector: selector.map(|s| Selector::new(s.iter().map(|(k, v)| (k.as_str(), v.as_str())), [])),
        access,
        addresses,
        ports: ports.collect(),
    })
}

/// The name of a port; an empty one is none.
fn named(name: Option<String>) -> Option<Arc<str>> {
    name.filter(|name| !name.is_empty()).map(Into::into)
}

/// Reads an EndpointSlice; `None` for one that belongs to no Service.
pub fn slice(object: &Object) -> Result<Option<Slice>, serde_json::Error> {
    let Some(service) = object.value["metadata"]["labels"]["kubernetes.io/service-name"].as_str() else {
        return Ok(None);
    };
    // Endpoints and ports are at the top of the object, not in a spec.
    let raw: RawSlice = RawSlice::deserialize(&object.value)?;
    let endpoints = raw.endpoints.into_iter().flatten().flat_map(|endpoint| {
        let pod = endpoint
            .target_ref
            .filter(|t| t.kind == "Pod")
            .map(|t| Arc::from(t.name));
        endpoint
            .addresses
            .into_iter()
            .filter_map(move |a| Some((a.parse().ok()?, pod.clone())))
    });
    let ports = raw.ports.into_iter().flatten();
    let ports = ports.filter_map(|p| Some((named(p.name), protocol(p.protocol.as_deref())?, p.port?)));
    Ok(Some(Slice {
        namespace: object.namespace.clone(),
        service: service.into(),
        endpoints: endpoints.collect(),
        ports: ports.collect(),
    }))
}

/// The ports of a Service for the engine's checks; a named target counts by the first pod that names it.
pub fn lint_ports(service: &Service, pods: &[Pod]) -> Vec<LintPort> {
    let Some(selector) = &service.selector else {
        return Vec::new();
    };
    let one = |port: &ServicePort| {
        let target = match &port.target {
            Target::Number(number) => *number,
            Target::Name(_) => {
                let dialled = Dialled::Number(port.protocol, port.port);
                service.backends(dialled, pods, &[]).ok()?.first()?.port
            }
        };
        Some(LintPort {
            namespace: service.namespace.clone(),
            name: service.name.clone(),
            pods: selector.clone(),
            protocol: port.protocol,
            port: port.port,
            target,
        })
    };
    service.ports.iter().filter_map(one).collect()
}

/// Services and slices among objects.
pub fn collect(objects: &[Object], fault: &mut impl FnMut(&Object, String)) -> (Vec<Service>, Vec<Slice>) {
    let (mut services, mut slices) = (Vec::new(), Vec::new());
    for object in objects {
        let read = match object.kind {
            Kind::Service => service(object).map(|s| services.push(s)),
            Kind::EndpointSlice => slice(object).map(|s| slices.extend(s)),
            _ => continue,
        };
        if let Err(error) = read {
            fault(object, error.to_string());
        }
    }
    (services, slices)
}

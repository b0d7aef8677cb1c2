//! The ports of proxies that an operand is told to use.

use serde_json::Value;

use super::{Objects, Source, json, url, workloads::Workload};
use crate::operands::facts::{Ports, Warning};

/// What one place says about proxies; URLs are not kept.
struct Said {
    ports: Ports,
    malformed: Vec<&'static str>,
}

/// Ports by the first place that says anything: fields of the operand's own objects, the environment of its
/// operator's and its own workloads, the cluster's Proxy. A place that only lists exceptions means no proxy.
pub fn ports(
    fields: &[Option<&Value>],
    workloads: &[Option<Workload<'_>>],
    objects: &Objects,
    warnings: &mut Vec<Warning>,
) -> Ports {
    let own = fields.iter().flatten().find_map(|proxy| fields_of(proxy));
    let said = own
        .or_else(|| workloads.iter().flatten().find_map(|w| environment(*w)))
        .or_else(|| cluster(objects));
    let Some(said) = said else {
        return Ports::new();
    };
    warnings.extend(said.malformed.iter().map(|field| {
        Warning::new(
            "MalformedProxy",
            format!(
                "{field} is no http or https URL, so its proxy is not opened; write it as http://host:port"
            ),
        )
    }));
    said.ports
}

fn fields_of(proxy: &Value) -> Option<Said> {
    let get = |name| json::text(proxy, name);
    said(get("/httpProxy"), get("/httpsProxy"), get("/noProxy"))
}

fn environment(workload: Workload<'_>) -> Option<Said> {
    let get = |upper, lower| {
        let value = workload.env(upper).or_else(|| workload.env(lower));
        value.filter(|v| !v.is_empty())
    };
    said(
        get("HTTP_PROXY", "http_proxy"),
        get("HTTPS_PROXY", "https_proxy"),
        get("NO_PROXY", "no_proxy"),
    )
}

/// OpenShift's Proxy says in status what is in force.
fn cluster(objects: &Objects) -> Option<Said> {
    let proxy = objects.singleton(Source::Proxy)?;
    let in_force = json::at(proxy, "/status").and_then(fields_of);
    in_force.or_else(|| json::at(proxy, "/spec").and_then(fields_of))
}

fn said(http: Option<&str>, https: Option<&str>, no_proxy: Option<&str>) -> Option<Said> {
    if http.is_none() && https.is_none() && no_proxy.is_none() {
        return None;
    }
    let mut said = Said {
        ports: Ports::new(),
        malformed: Vec::new(),
    };
    for (field, value) in [("httpProxy", http), ("httpsProxy", https)] {
        match value.map(url::port) {
            Some(Some(port)) => drop(said.ports.insert(port)),
            Some(None) => said.malformed.push(field),
            None => {}
        }
    }
    Some(said)
}

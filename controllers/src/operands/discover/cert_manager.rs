//! What can be found out about cert-manager and istio-csr.

use serde_json::Value;

use super::{
    Objects, Source, json, proxy,
    workloads::{self, Workload},
};
use crate::operands::facts::{CertManager, IstioCsr, Warning};

const OPERATOR: &str = "cert-manager-operator";
const ISTIO_CSR: &str = "cert-manager-istio-csr";
/// The mark on IstioCSR objects that are not served (cert-manager-operator, pkg/controller/istiocsr/constants.go).
const REJECTED: &str = "operator.openshift.io/istio-csr-reject-multiple-instance";
/// The port that istio-csr listens on unless told otherwise, and its other ports.
const GRPC: u16 = 6443;
const METRICS: u16 = 9402;
const READINESS: u16 = 6060;
/// The Service's port unless told otherwise.
const SERVICE: u16 = 443;

/// The facts about cert-manager.
pub fn facts(objects: &Objects) -> CertManager {
    let mut warnings = Vec::new();
    let operator = workloads::with_label(objects, "name", OPERATOR);
    let workloads = [operator, workloads::with_label(objects, "app", "cert-manager")];
    let istio_csr = istio_csr(objects, &mut warnings);
    let components = ["cert-manager", "webhook", "cainjector"];
    // `app=webhook` alone is anybody's; the instance label makes it cert-manager's.
    let component = objects.pods.iter().any(|p| {
        p.labels.get("app.kubernetes.io/instance") == Some("cert-manager")
            && p.labels.get("app").is_some_and(|app| components.contains(&app))
    });
    CertManager {
        present: !objects.of(Source::CertManager).is_empty()
            || operator.is_some()
            || istio_csr.is_some()
            || component
            || workloads::exists(objects, "app", "cert-manager"),
        istio_csr,
        proxy: proxy::ports(&[], &workloads, objects, &mut warnings),
        warnings,
    }
}

fn istio_csr(objects: &Objects, warnings: &mut Vec<Warning>) -> Option<IstioCsr> {
    let all = objects.of(Source::IstioCsr);
    let accepted: Vec<&Value> = all.iter().filter(|o| !rejected(o)).collect();
    // Of several the operator serves the oldest.
    let resource = accepted.iter().min_by_key(|o| {
        (
            json::text(o, "/metadata/creationTimestamp").unwrap_or("9"),
            json::namespace(o),
        )
    });
    if all.len() > 1 {
        warnings.push(Warning::new(
            "SeveralIstioCSR",
            format!(
                "there are {} IstioCSR objects and only the oldest is served; delete the others",
                all.len()
            ),
        ));
    }
    let workload = workloads::with_label(objects, "app", ISTIO_CSR);
    let found = workloads::namespace_of(objects, "app", ISTIO_CSR);
    let namespace = resource.map(|o| json::namespace(o)).or(found)?;
    let own = workload.filter(|w| w.namespace() == namespace);
    Some(IstioCsr {
        namespace: namespace.into(),
        grpc_port: own.map_or(GRPC, grpc_port),
        service_port: resource
            .and_then(|o| json::port(o, "/spec/istioCSRConfig/server/port"))
            .unwrap_or(SERVICE),
    })
}

/// The operator marks duplicates and leaves them alone from then on.
fn rejected(object: &Value) -> bool {
    json::at(object, "/metadata/annotations").is_some_and(|all| all.get(REJECTED).is_some())
}

/// What the command line says, else the first container port with no other use, else the default.
fn grpc_port(workload: Workload<'_>) -> u16 {
    let declared = || {
        workload
            .ports()
            .map(|(_, port)| port)
            .find(|p| ![METRICS, READINESS].contains(p))
    };
    workload
        .flag("serving-address")
        .and_then(workloads::port_of_address)
        .or_else(declared)
        .unwrap_or(GRPC)
}

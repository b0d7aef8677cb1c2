//! The operands of bundles as they really run: definitions under their real names, objects, pods with their labels
//! and ports, workloads with what discovery reads of them. Facts: operands.md section 1.

use anyhow::{Context as _, ensure};
use bulkhead_api::OperandNetworkPolicy;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams,
};
use serde_json::{Value, json};

use crate::admin::LIMIT;
use crate::lab::Lab;
use crate::wait::eventually;

/// Namespace of SPIRE.
pub const ZTWIM: &str = "zero-trust-workload-identity-manager";

/// A kind of an operator: group, kind, plural, scope.
pub type Definition = (&'static str, &'static str, &'static str, &'static str);

/// Kinds by the operand that they tell of.
pub const DEFINITIONS: [(&str, Definition); 9] = [
    (
        "ztwim",
        (
            "operator.openshift.io",
            "ZeroTrustWorkloadIdentityManager",
            "zerotrustworkloadidentitymanagers",
            "Cluster",
        ),
    ),
    (
        "ztwim",
        ("operator.openshift.io", "SpireServer", "spireservers", "Cluster"),
    ),
    (
        "ztwim",
        (
            "spire.spiffe.io",
            "ClusterFederatedTrustDomain",
            "clusterfederatedtrustdomains",
            "Cluster",
        ),
    ),
    (
        "cert-manager",
        ("operator.openshift.io", "CertManager", "certmanagers", "Cluster"),
    ),
    (
        "cert-manager",
        ("operator.openshift.io", "IstioCSR", "istiocsrs", "Namespaced"),
    ),
    (
        "external-secrets",
        (
            "operator.openshift.io",
            "ExternalSecretsConfig",
            "externalsecretsconfigs",
            "Cluster",
        ),
    ),
    (
        "external-secrets",
        (
            "operator.openshift.io",
            "ExternalSecretsManager",
            "externalsecretsmanagers",
            "Cluster",
        ),
    ),
    (
        "external-secrets-0.1",
        (
            "operator.openshift.io",
            "ExternalSecrets",
            "externalsecrets",
            "Cluster",
        ),
    ),
    ("proxy", ("config.openshift.io", "Proxy", "proxies", "Cluster")),
];

/// The definition of a kind, as far as storing objects needs it.
fn definition((group, kind, plural, scope): Definition) -> Value {
    let version = if group == "config.openshift.io" {
        "v1"
    } else {
        "v1alpha1"
    };
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.{group}"),
            // The name spaces of the project need no approval here.
            "annotations": {"api-approved.kubernetes.io": "unapproved, test only"},
        },
        "spec": {
            "group": group, "scope": scope,
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List")},
            "versions": [{
                "name": version, "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": open, "status": open}}},
            }],
        },
    })
}

fn resource(kind: &str) -> anyhow::Result<ApiResource> {
    let (_, (group, kind, plural, _)) = DEFINITIONS
        .into_iter()
        .find(|(_, d)| d.1 == kind)
        .with_context(|| format!("{kind} is no kind of an operand"))?;
    let version = if group == "config.openshift.io" {
        "v1"
    } else {
        "v1alpha1"
    };
    Ok(ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk(group, version, kind),
        plural,
    ))
}

/// A pod: namespace, name, labels, declared ports.
pub type Fixture = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static [u16],
);

const NAME: &str = "app.kubernetes.io/name";
const INSTANCE: (&str, &str) = (
    "app.kubernetes.io/instance",
    "cluster-zero-trust-workload-identity-manager",
);
const CM: (&str, &str) = ("app.kubernetes.io/instance", "cert-manager");
const ESO: (&str, &str) = ("app", "external-secrets");

/// Pods of SPIRE, with ports as declared: metrics of server and agent are not.
pub const ZTWIM_PODS: [Fixture; 5] = [
    (ZTWIM, "operator", &[("name", ZTWIM)], &[8443, 8081]),
    (
        ZTWIM,
        "spire-server-0",
        &[(NAME, "spire-server"), INSTANCE],
        &[8081, 8080, 9443],
    ),
    (
        ZTWIM,
        "spire-agent-x",
        &[(NAME, "spire-agent"), INSTANCE],
        &[9982],
    ),
    (
        ZTWIM,
        "oidc",
        &[(NAME, "spiffe-oidc-discovery-provider"), INSTANCE],
        &[8443, 8008],
    ),
    (ZTWIM, "csi", &[(NAME, "spiffe-csi-driver"), INSTANCE], &[9809]),
];

/// Pods of cert-manager.
pub const CERT_MANAGER_PODS: [Fixture; 4] = [
    (
        "cert-manager-operator",
        "operator",
        &[("name", "cert-manager-operator")],
        &[8443],
    ),
    (
        "cert-manager",
        "controller",
        &[("app", "cert-manager"), (NAME, "cert-manager"), CM],
        &[9402, 9403],
    ),
    (
        "cert-manager",
        "webhook",
        &[("app", "webhook"), CM],
        &[10250, 6080, 9402],
    ),
    (
        "cert-manager",
        "cainjector",
        &[("app", "cainjector"), CM],
        &[9402],
    ),
];

/// istio-csr and a neighbour that is none of cert-manager's.
pub const ISTIO_PODS: [Fixture; 2] = [
    (
        "istio-system",
        "istio-csr",
        &[
            ("app", "cert-manager-istio-csr"),
            (NAME, "cert-manager-istio-csr"),
        ],
        &[6443, 9402, 6060],
    ),
    ("istio-system", "istiod", &[("app", "istiod")], &[15012]),
];

/// Pods of external-secrets.
pub const EXTERNAL_SECRETS_PODS: [Fixture; 4] = [
    (
        "external-secrets-operator",
        "operator",
        &[("app", "external-secrets-operator")],
        &[8443, 8081],
    ),
    (
        "external-secrets",
        "controller",
        &[ESO, (NAME, "external-secrets")],
        &[8080],
    ),
    (
        "external-secrets",
        "webhook",
        &[ESO, (NAME, "external-secrets-webhook")],
        &[10250, 8080],
    ),
    (
        "external-secrets",
        "cert-controller",
        &[ESO, (NAME, "external-secrets-cert-controller")],
        &[8080],
    ),
];

/// The Bitwarden server.
pub const BITWARDEN_POD: Fixture = (
    "external-secrets",
    "bitwarden",
    &[ESO, (NAME, "bitwarden-sdk-server")],
    &[9998],
);

fn made_by(manager: &str) -> PostParams {
    PostParams {
        field_manager: Some(manager.to_owned()),
        ..PostParams::default()
    }
}

/// What an administrator of operands does.
impl Lab {
    /// Installs the kinds of an operand.
    pub async fn operand_kinds(&self, operand: &str) -> anyhow::Result<()> {
        let api = Api::<CustomResourceDefinition>::all(self.admin.client.clone());
        for (_, kind) in DEFINITIONS.iter().filter(|(of, _)| *of == operand) {
            let object = serde_json::from_value(definition(*kind))?;
            api.create(&PostParams::default(), &object).await?;
        }
        for (_, kind) in DEFINITIONS.iter().filter(|(of, _)| *of == operand) {
            let objects = Api::<DynamicObject>::all_with(self.admin.client.clone(), &resource(kind.1)?);
            eventually(&format!("{} to be served", kind.1), LIMIT, || async {
                Ok(objects.list(&kube::api::ListParams::default()).await.map(drop)?)
            })
            .await?;
        }
        Ok(())
    }

    /// Removes the kinds of an operand, and their objects with them.
    pub async fn remove_operand_kinds(&self, operand: &str) -> anyhow::Result<()> {
        let api = Api::<CustomResourceDefinition>::all(self.admin.client.clone());
        for (_, kind) in DEFINITIONS.iter().filter(|(of, _)| *of == operand) {
            api.delete(&format!("{}.{}", kind.2, kind.0), &DeleteParams::default())
                .await?;
        }
        Ok(())
    }

    fn operand_api(&self, kind: &str, namespace: &str) -> anyhow::Result<Api<DynamicObject>> {
        let (client, resource) = (self.admin.client.clone(), resource(kind)?);
        Ok(if namespace.is_empty() {
            Api::all_with(client, &resource)
        } else {
            Api::namespaced_with(client, namespace, &resource)
        })
    }

    /// Stores an object of an operand; cluster-scoped ones have no namespace.
    pub async fn put_operand(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        spec: &Value,
    ) -> anyhow::Result<()> {
        let resource = resource(kind)?;
        let mut object = json!({
            "apiVersion": resource.api_version, "kind": kind, "metadata": {"name": name}, "spec": spec,
        });
        if !namespace.is_empty() {
            object["metadata"]["namespace"] = json!(namespace);
        }
        let params = PatchParams::apply("the-operator-of-the-operand").force();
        self.operand_api(kind, namespace)?
            .patch(name, &params, &Patch::Apply(&object))
            .await?;
        Ok(())
    }

    /// Deletes an object of an operand.
    pub async fn delete_operand(&self, kind: &str, namespace: &str, name: &str) -> anyhow::Result<()> {
        self.operand_api(kind, namespace)?
            .delete(name, &DeleteParams::default())
            .await?;
        Ok(())
    }

    /// Makes pods, and their namespaces where they are missing.
    pub async fn put_pods(&self, pods: &[Fixture]) -> anyhow::Result<()> {
        let mut manifest = String::new();
        let mut namespaces: Vec<&str> = pods.iter().map(|p| p.0).collect();
        namespaces.dedup();
        for namespace in namespaces {
            manifest += &format!(
                "---\n{}\n",
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
            );
        }
        self.cluster.apply(&manifest)?;
        for (namespace, name, labels, ports) in pods {
            let labels: serde_json::Map<String, Value> =
                labels.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
            let ports: Vec<Value> = ports.iter().map(|p| json!({"containerPort": p})).collect();
            let pod: Pod = serde_json::from_value(json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": namespace, "labels": labels},
                "spec": {"automountServiceAccountToken": false,
                    "containers": [{"name": "main", "image": "none", "ports": ports}]},
            }))?;
            let api = Api::<Pod>::namespaced(self.admin.client.clone(), namespace);
            eventually(&format!("{namespace}/{name} to be made"), LIMIT, || async {
                Ok(api
                    .create(&made_by("the-operator-of-the-operand"), &pod)
                    .await
                    .map(drop)?)
            })
            .await?;
        }
        Ok(())
    }

    /// Deletes pods.
    pub async fn delete_pods(&self, pods: &[Fixture]) -> anyhow::Result<()> {
        for (namespace, name, ..) in pods {
            let api = Api::<Pod>::namespaced(self.admin.client.clone(), namespace);
            let now = DeleteParams {
                grace_period_seconds: Some(0),
                ..DeleteParams::default()
            };
            api.delete(name, &now).await?;
        }
        Ok(())
    }

    /// Bundles.
    pub fn bundles(&self) -> Api<OperandNetworkPolicy> {
        Api::all(self.admin.client.clone())
    }

    /// Applies one of the ready objects of manifests/operands.
    pub fn apply_bundle(&self, name: &str) -> anyhow::Result<()> {
        let file = crate::cluster::repository().join(format!("manifests/operands/{name}.yaml"));
        self.cluster.apply(&std::fs::read_to_string(file)?)
    }

    /// Merges into the spec of a bundle.
    pub async fn merge_bundle(&self, name: &str, spec: &Value) -> anyhow::Result<()> {
        let patch = json!({"spec": spec});
        self.bundles()
            .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await?;
        Ok(())
    }

    /// Deletes a bundle.
    pub async fn delete_bundle(&self, name: &str) -> anyhow::Result<()> {
        self.bundles().delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Waits until what the operator says of a bundle, for its current generation, passes a check.
    pub async fn bundle_says(
        &self,
        name: &str,
        what: &str,
        check: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        eventually(&format!("bundle {name}: {what}"), LIMIT, || async {
            let object = serde_json::to_value(self.bundles().get(name).await?)?;
            ensure!(
                object["status"]["observedGeneration"] == object["metadata"]["generation"],
                "status is behind"
            );
            ensure!(check(&object["status"]), "status is {}", object["status"]);
            Ok(object["status"].clone())
        })
        .await
    }

    /// Waits until a bundle is enforced.
    pub async fn enforced(&self, name: &str) -> anyhow::Result<Value> {
        self.bundle_says(name, "enforced", |s| {
            condition(s, "Active") == ("True", "Enforced")
        })
        .await
    }

    /// Waits until a namespace has exactly these policies.
    pub async fn exactly(&self, namespace: &str, names: &[&str]) -> anyhow::Result<()> {
        let mut wanted: Vec<&str> = names.to_vec();
        wanted.sort_unstable();
        eventually(&format!("{namespace} to have {wanted:?}"), LIMIT, || async {
            let mut found = self.admin.policy_names(namespace).await?;
            found.sort();
            ensure!(found == wanted, "it has {found:?}");
            Ok(())
        })
        .await
    }
}

/// Status and reason of a condition.
pub fn condition<'a>(status: &'a Value, kind: &str) -> (&'a str, &'a str) {
    let mut all = status["conditions"].as_array().into_iter().flatten();
    let found = all.find(|c| c["type"] == kind);
    let text = |field: &str| found.and_then(|c| c[field].as_str()).unwrap_or_default();
    (text("status"), text("reason"))
}

/// Message of a condition.
pub fn message(status: &Value, kind: &str) -> String {
    let mut all = status["conditions"].as_array().into_iter().flatten();
    let found = all.find(|c| c["type"] == kind);
    found
        .and_then(|c| c["message"].as_str())
        .unwrap_or_default()
        .to_owned()
}

/// Whether a warning stands.
pub fn warns(status: &Value, reason: &str) -> bool {
    status["warnings"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|w| w["reason"] == reason)
}

/// State of a policy.
pub fn state<'a>(status: &'a Value, namespace: &str, name: &str) -> &'a str {
    let mut all = status["policies"].as_array().into_iter().flatten();
    let found = all.find(|p| p["namespace"] == namespace && p["name"] == name);
    found.and_then(|p| p["state"].as_str()).unwrap_or_default()
}

//! Parse types: what is read of each watched kind. Converted to kept forms on arrival.

use bulkhead_policy::v1::NetworkPolicySpec;
use k8s_openapi::api::{
    apps::v1 as apps, batch::v1 as batch, core::v1 as core, discovery::v1 as discovery,
    networking::v1 as networking,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;

use super::fields::{self, slim};

/// A namespace: labels and whether it is being deleted.
#[derive(Resource, Clone, Debug, Deserialize)]
#[resource(inherit = core::Namespace)]
pub struct Namespace {
    /// Name, uid, labels.
    #[serde(deserialize_with = "slim")]
    pub metadata: ObjectMeta,
}

/// A network policy.
#[derive(Resource, Clone, Debug, Deserialize)]
#[resource(inherit = networking::NetworkPolicy)]
pub struct NetworkPolicy {
    /// Names, labels, annotations of ours, managers of the spec.
    #[serde(deserialize_with = "slim")]
    pub metadata: ObjectMeta,
    /// Its spec.
    #[serde(default)]
    pub spec: Option<NetworkPolicySpec>,
}

/// A pod.
#[derive(Resource, Clone, Debug, Deserialize)]
#[resource(inherit = core::Pod)]
pub struct Pod {
    /// Names, labels.
    #[serde(deserialize_with = "slim")]
    pub metadata: ObjectMeta,
    /// Network and ports.
    #[serde(default)]
    pub spec: PodSpec,
    /// Phase.
    #[serde(default)]
    pub status: PodStatus,
}

/// Network and ports of a pod or pod template.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// The pod uses the network of its node.
    pub host_network: bool,
    /// Its containers.
    pub containers: Vec<Container>,
}

/// Ports of a container, and the few words of its environment and command line that bundles look at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Container {
    /// Declared ports.
    pub ports: Vec<ContainerPort>,
    /// Variables that bundles look at.
    #[serde(deserialize_with = "fields::env")]
    pub env: Vec<(String, String)>,
    /// Flags that bundles look at.
    #[serde(deserialize_with = "fields::flags")]
    pub command: Vec<String>,
    /// Flags that bundles look at.
    #[serde(deserialize_with = "fields::flags")]
    pub args: Vec<String>,
}

/// A declared port.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerPort {
    /// Its number.
    pub container_port: u16,
    /// Its protocol, TCP if absent.
    pub protocol: Option<String>,
    /// Its name.
    pub name: Option<String>,
}

/// Phase of a pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodStatus {
    /// Pending, Running, Succeeded, Failed or Unknown.
    pub phase: Option<String>,
}

/// What a pod will look like.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Template {
    /// Its labels.
    pub metadata: Option<TemplateMeta>,
    /// Network and ports.
    pub spec: PodSpec,
}

/// Labels of a pod template.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TemplateMeta {
    /// Labels.
    pub labels: Option<std::collections::BTreeMap<String, String>>,
}

/// Where a workload keeps its pod template.
pub trait Templated {
    /// The template; `None` when no pod will come of it any more.
    fn template(&self) -> Option<&Template>;
    /// Kind, in lower case, for messages.
    const KIND: &'static str;
}

/// Declares the slim form of a workload kind whose template is at `spec.template`.
macro_rules! workload {
    ($name:ident, $inherit:path, $kind:literal) => {
        #[doc = concat!("A ", $kind, ": its pod template.")]
        #[derive(Resource, Clone, Debug, Deserialize)]
        #[resource(inherit = $inherit)]
        pub struct $name {
            /// Names.
            #[serde(deserialize_with = "slim")]
            pub metadata: ObjectMeta,
            /// Its spec.
            #[serde(default)]
            pub spec: WorkloadSpec,
        }

        impl Templated for $name {
            const KIND: &'static str = $kind;

            fn template(&self) -> Option<&Template> {
                self.spec.template.as_ref()
            }
        }
    };
}

workload!(Deployment, apps::Deployment, "deployment");
workload!(StatefulSet, apps::StatefulSet, "statefulset");
workload!(DaemonSet, apps::DaemonSet, "daemonset");

/// Spec of a workload.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct WorkloadSpec {
    /// What its pods will look like.
    pub template: Option<Template>,
}

/// A job.
#[derive(Resource, Clone, Debug, Deserialize)]
#[resource(inherit = batch::Job)]
pub struct Job {
    /// Names.
    #[serde(deserialize_with = "slim")]
    pub metadata: ObjectMeta,
    /// Its spec.
    #[serde(default)]
    pub spec: WorkloadSpec,
    /// Whether it is done.
    #[serde(default)]
    pub status: JobStatus,
}

/// Whether a job is done.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct JobStatus {
    /// Conditions.
    pub conditions: Vec<JobCondition>,
}

/// A condition of a job.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct JobCondition {
    /// Complete, Failed, ….
    pub r#type: String,
    /// True, False or Unknown.
    pub status: String,
}

impl Templated for Job {
    const KIND: &'static str = "job";

    fn template(&self) -> Option<&Template> {
        let done =
            |c: &JobCondition| matches!(c.r#type.as_str(), "Complete" | "Failed") && c.status == "True";
        if self.status.conditions.iter().any(done) {
            None
        } else {
            self.spec.template.as_ref()
        }
    }
}

/// A cron job.
#[derive(Resource, Clone, Debug, Deserialize)]
#[resource(inherit = batch::CronJob)]
pub struct CronJob {
    /// Names.
    #[serde(deserialize_with = "slim")]
    pub metadata: ObjectMeta,
    /// Its spec.
    #[serde(default)]
    pub spec: CronJobSpec,
}

/// Spec of a cron job.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CronJobSpec {
    /// What its jobs will look like.
    pub job_template: JobTemplate,
}

/// What a job will look like.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct JobTemplate {
    /// Its spec.
    pub spec: WorkloadSpec,
}

impl Templated for CronJob {
    const KIND: &'static str = "cronjob";

    fn template(&self) -> Option<&Template> {
        self.spec.job_template.spec.template.as_ref()
    }
}

/// A slice of the endpoints of the `kubernetes` Service.
#[derive(Resource, Clone, Debug, Deserialize)]
#[resource(inherit = discovery::EndpointSlice)]
pub struct EndpointSlice {
    /// Names.
    #[serde(deserialize_with = "slim")]
    pub metadata: ObjectMeta,
    /// Ports.
    #[serde(default)]
    pub ports: Option<Vec<EndpointPort>>,
}

/// A port of a slice.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct EndpointPort {
    /// Its number.
    pub port: Option<u16>,
}

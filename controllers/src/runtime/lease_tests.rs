//! Election against a real API server: `BULKHEAD_TEST_KUBECONFIG` names an administrator's kubeconfig of a
//! throw-away cluster, and `cargo test -p bulkhead-controllers -- --ignored lease` runs them.

use std::path::PathBuf;

use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleRef, Subject};
use kube::Config;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::task::JoinHandle;

use super::*;
use crate::runtime::client::install_tls;

const QUICK: Timing = Timing {
    lease_duration: Duration::from_secs(3),
    renew_deadline: Duration::from_secs(2),
    retry_period: Duration::from_millis(500),
};

/// Never expires within a test: whoever takes over did not wait for expiry.
const SLOW: Timing = Timing {
    lease_duration: Duration::from_mins(10),
    renew_deadline: Duration::from_mins(9),
    retry_period: Duration::from_millis(500),
};

/// Far above everything that should happen; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(40);

async fn config() -> Config {
    let path = std::env::var_os("BULKHEAD_TEST_KUBECONFIG").expect("BULKHEAD_TEST_KUBECONFIG is not set");
    install_tls();
    let kubeconfig = Kubeconfig::read_from(PathBuf::from(path)).unwrap();
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap()
}

/// One replica. Aborting its task is a kill: nothing is given back.
struct Replica {
    identity: String,
    leadership: Leadership,
    readiness: Readiness,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

fn replica(config: &Config, lease: &str, identity: &str, timing: Timing) -> Replica {
    let candidate = Candidate {
        namespace: "default".to_owned(),
        name: lease.to_owned(),
        identity: identity.to_owned(),
        timing,
    };
    let (readiness, stop) = (Readiness::default(), CancellationToken::new());
    let client = Client::try_from(config.clone()).unwrap();
    let (elector, leadership) = Elector::new(client, candidate, &readiness, RuntimeMetrics::default());
    let task = tokio::spawn(elector.run(stop.clone()));
    Replica {
        identity: identity.to_owned(),
        leadership,
        readiness,
        stop,
        task,
    }
}

/// Waits for `what` to become true.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let began = now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    began.elapsed()
}

fn leaders(replicas: &[Replica]) -> Vec<&Replica> {
    replicas
        .iter()
        .filter(|replica| replica.leadership.claim().is_some())
        .collect()
}

/// A Lease of its own, free to take, as manifests ship it.
async fn shipped(config: &Config, name: &str) -> Api<Lease> {
    let leases: Api<Lease> = Api::namespaced(Client::try_from(config.clone()).unwrap(), "default");
    remove(&leases, name).await;
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    };
    leases
        .create(&PostParams::default(), &Lease { metadata, spec: None })
        .await
        .unwrap();
    leases
}

async fn remove(leases: &Api<Lease>, name: &str) {
    if let Err(error) = leases.delete(name, &DeleteParams::default()).await {
        assert!(
            matches!(&error, kube::Error::Api(status) if status.is_not_found()),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs BULKHEAD_TEST_KUBECONFIG of a throw-away cluster"]
async fn a_killed_leader_is_followed_by_the_standby_in_a_later_term() {
    let config = config().await;
    shipped(&config, "killed").await;
    let replicas = ["a", "b"].map(|identity| replica(&config, "killed", identity, QUICK));
    eventually("one leads", || leaders(&replicas).len() == 1).await;
    let first = leaders(&replicas)[0];
    let (killed, claim) = (first.identity.clone(), first.leadership.claim().unwrap());
    first.task.abort();
    let mut overlap = false;
    let takeover = eventually("the other leads", || {
        let others: Vec<_> = leaders(&replicas)
            .into_iter()
            .filter(|other| other.identity != killed)
            .collect();
        overlap |= claim.is_valid() && !others.is_empty();
        !others.is_empty()
    })
    .await;
    assert!(!overlap, "two valid claims at once");
    let second = leaders(&replicas)[0].leadership.claim().unwrap();
    assert!(second.term > claim.term);
    eprintln!(
        "took over {takeover:?} after the kill (lease {:?}, retry {:?})",
        QUICK.lease_duration, QUICK.retry_period
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs BULKHEAD_TEST_KUBECONFIG of a throw-away cluster"]
async fn a_leader_that_ends_in_order_hands_over_without_waiting_for_expiry() {
    let config = config().await;
    let leases = shipped(&config, "handover").await;
    let replicas = ["a", "b"].map(|identity| replica(&config, "handover", identity, SLOW));
    eventually("one leads", || leaders(&replicas).len() == 1).await;
    let first = leaders(&replicas)[0].identity.clone();
    let [mut one, mut two] = replicas;
    if first != one.identity {
        std::mem::swap(&mut one, &mut two);
    }
    one.stop.cancel();
    one.task.await.unwrap().unwrap();
    assert!(one.leadership.claim().is_none());
    let handover = eventually("the other leads", || two.leadership.claim().is_some()).await;
    eprintln!("took over {handover:?} after the Lease was given back");
    two.stop.cancel();
    two.task.await.unwrap().unwrap();
    let left = leases.get("handover").await.unwrap().spec.unwrap();
    assert_eq!(left.holder_identity, None, "{left:?}");
    assert_eq!(left.lease_transitions, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs BULKHEAD_TEST_KUBECONFIG of a throw-away cluster"]
async fn a_deleted_lease_ends_the_claim_and_begins_a_later_term() {
    let config = config().await;
    let leases = shipped(&config, "deleted").await;
    let replica = replica(&config, "deleted", "a", QUICK);
    eventually("it leads", || replica.leadership.claim().is_some()).await;
    let claim = replica.leadership.claim().unwrap();
    remove(&leases, "deleted").await;
    eventually("the claim ends", || !claim.is_valid()).await;
    eventually("it leads again", || replica.leadership.claim().is_some()).await;
    assert!(replica.leadership.claim().unwrap().term > claim.term);
    replica.stop.cancel();
    replica.task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs BULKHEAD_TEST_KUBECONFIG of a throw-away cluster"]
async fn an_annotation_by_somebody_else_survives_renewals_and_costs_no_leadership() {
    let config = config().await;
    let leases = shipped(&config, "annotated").await;
    let replica = replica(&config, "annotated", "a", QUICK);
    eventually("it leads", || replica.leadership.claim().is_some()).await;
    let claim = replica.leadership.claim().unwrap();
    let note = serde_json::json!({ "metadata": { "annotations": { "example.com/note": "kept" } } });
    let version = |lease: &Lease| lease.metadata.resource_version.clone();
    let noted = leases
        .patch("annotated", &PatchParams::default(), &Patch::Merge(note))
        .await
        .unwrap();
    let began = now();
    let renewed = loop {
        let found = leases.get("annotated").await.unwrap();
        if version(&found) != version(&noted) {
            break found;
        }
        assert!(began.elapsed() < PATIENCE, "never renewed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(renewed.metadata.annotations.unwrap()["example.com/note"], "kept");
    assert!(claim.is_valid(), "lost leadership over an annotation");
    replica.stop.cancel();
    replica.task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs BULKHEAD_TEST_KUBECONFIG of a throw-away cluster"]
async fn missing_rights_are_reported_and_recovered_from() {
    let config = config().await;
    shipped(&config, "rights").await;
    let user = "lease-test-nobody";
    let bindings: Api<ClusterRoleBinding> = Api::all(Client::try_from(config.clone()).unwrap());
    let _ = bindings.delete(user, &DeleteParams::default()).await;
    let mut limited = config.clone();
    limited.auth_info.impersonate = Some(user.to_owned());
    let replica = replica(&limited, "rights", "a", QUICK);
    eventually("the refusal is reported", || {
        replica.leadership.problem().is_some()
    })
    .await;
    let problem = replica.leadership.problem().unwrap();
    assert_eq!(problem.reason, "LeaseForbidden");
    assert!(problem.message.contains("get, create and update"), "{problem}");
    assert!(!replica.readiness.is_ready());
    bindings
        .create(&PostParams::default(), &administrator(user))
        .await
        .unwrap();
    eventually("it leads", || replica.leadership.claim().is_some()).await;
    assert_eq!(replica.leadership.problem(), None);
    assert!(replica.readiness.is_ready());
    bindings.delete(user, &DeleteParams::default()).await.unwrap();
    let lost = eventually("the claim ends", || replica.leadership.claim().is_none()).await;
    eventually("the refusal is reported again", || {
        replica.leadership.problem().is_some()
    })
    .await;
    eprintln!("claim ended {lost:?} after the rights were taken");
    replica.task.abort();
}

fn administrator(user: &str) -> ClusterRoleBinding {
    let group = "rbac.authorization.k8s.io".to_owned();
    ClusterRoleBinding {
        metadata: ObjectMeta {
            name: Some(user.to_owned()),
            ..ObjectMeta::default()
        },
        role_ref: RoleRef {
            api_group: Some(group.clone()),
            kind: "ClusterRole".to_owned(),
            name: "cluster-admin".to_owned(),
        },
        subjects: Some(vec![Subject {
            kind: "User".to_owned(),
            name: user.to_owned(),
            api_group: Some(group),
            namespace: None,
        }]),
    }
}

//! What discovery makes of objects, odd ones included.

use bulkhead_api::operand::{
    ComponentState::{Absent, LeftOver, Present},
    Operand,
};
use serde_json::{Value, json};

use super::support::*;
use crate::operands::{
    Source,
    discover::{datastore_ports, url_port},
};

fn ports(database: &str, connection: &str) -> Vec<u16> {
    datastore_ports(database, connection).into_iter().collect()
}

#[test]
fn database_ports_are_read_from_every_form_of_connection_string() {
    let rows: [(&str, &str, &[u16]); 14] = [
        ("sqlite3", "/run/x", &[]),
        ("", "", &[]),
        (
            "postgres",
            "postgresql://u:p%40:99@db.example:5433/spire?sslmode=require",
            &[5433],
        ),
        ("postgres", "postgres://db.example/spire", &[5432]),
        ("postgres", "postgres://a:1111,b:2222/spire", &[1111, 2222]),
        ("postgres", "postgres://u:p@[fd00::1]:5434/spire", &[5434]),
        ("postgres", "postgres://u:p@[fd00::1]/spire", &[5432]),
        (
            "postgres",
            "dbname=spire host=db port=5435 password=port=1",
            &[5435],
        ),
        ("postgres", "dbname=spire host=/var/run/postgresql", &[]),
        ("aws_postgresql", "", &[5432]),
        (
            "mysql",
            "u:p:9@tcp(db.example:3307)/spire?parseTime=true",
            &[3307],
        ),
        ("mysql", "u:p@tcp(db.example)/spire", &[3306]),
        ("mysql", "u:p@unix(/run/mysqld.sock)/spire", &[]),
        ("sql", "u:p@tcp(db:3308)/spire", &[3308]),
    ];
    for (database, connection, expected) in rows {
        assert_eq!(ports(database, connection), expected, "{database}: {connection}");
    }
}

#[test]
fn secrets_in_connection_strings_and_urls_are_in_no_fact() {
    let secret = "hunter2";
    let env = json!({"env": [{"name": "HTTP_PROXY", "value": format!("u:{secret}@proxy")}]});
    let facts = bare(Operand::ZeroTrustWorkloadIdentityManager)
        .with(Source::Workload, workload(ZTWIM, json!({"name": ZTWIM}), env))
        .with(Source::SpireServer, json!({"spec": {
            "datastore": {"databaseType": "postgres", "connectionString": format!("postgres://u:{secret}@db:port/x")},
            "federation": {"federatesWith": [{"bundleEndpointUrl": format!("ftp://u:{secret}@peer")}]}}}))
        .facts();
    assert!(!format!("{facts:?}").contains(secret));
    assert_eq!(facts.spire.warnings.len(), 2, "{:?}", facts.spire.warnings);
}

#[test]
fn urls_give_their_port_or_are_malformed() {
    let rows = [
        ("http://proxy", Some(80)),
        ("https://proxy/", Some(443)),
        ("http://u:p@proxy:3128", Some(3128)),
        ("http://[fd00::1]:3128", Some(3128)),
        ("proxy:3128", None),
        ("socks5://proxy:1080", None),
        ("http://proxy:99999", None),
        ("http://proxy:0", None),
        ("http://", None),
        ("", None),
    ];
    for (url, port) in rows {
        assert_eq!(url_port(url), port, "{url}");
    }
}

#[test]
fn objects_of_any_shape_are_survived() {
    let odd = [
        Value::Null,
        json!([]),
        json!("x"),
        json!({"spec": []}),
        json!({"metadata": 1, "spec": {"federation": 7,
        "datastore": "x", "controllerConfig": {"networkPolicies": {}, "certProvider": null}, "template": {"spec": {"containers": [1, null]}}}}),
    ];
    for operand in Operand::ALL {
        for object in &odd {
            let mut case = bare(operand);
            for source in [
                Source::EndpointSlice,
                Source::Proxy,
                Source::Workload,
                Source::SecretName,
                Source::Ztwim,
                Source::SpireServer,
                Source::FederatedTrustDomain,
                Source::CertManager,
                Source::IstioCsr,
                Source::ExternalSecretsConfig,
                Source::ExternalSecretsManager,
                Source::ExternalSecrets,
            ] {
                case = case.with(source, object.clone());
            }
            assert!(case.bundle().active);
        }
    }
}

#[test]
fn optional_components_follow_the_object_and_without_one_what_runs() {
    let states = |case: &Case| {
        let facts = case.facts().external_secrets;
        (facts.cert_controller, facts.bitwarden)
    };
    let eso = || bare(Operand::ExternalSecrets);
    let runs = |name: &str| pod("external-secrets", &[(NAME, name)]);
    let both = |case: Case| {
        case.running(runs("external-secrets-cert-controller"))
            .running(runs("bitwarden-sdk-server"))
    };
    assert_eq!(states(&eso()), (Absent, Absent));
    assert_eq!(states(&both(eso())), (Present, Present));
    let secret =
        json!({"metadata": {"name": "external-secrets-webhook-cm", "namespace": "external-secrets"}});
    assert_eq!(
        states(&both(eso()).with(Source::SecretName, secret)),
        (LeftOver, Present)
    );
    let config = |spec: Value| eso().config(Source::ExternalSecretsConfig, spec);
    assert_eq!(states(&config(json!({}))), (Present, Absent));
    let switched = json!({"controllerConfig": {"certProvider": {"certManager": {"mode": "Enabled"}}},
        "plugins": {"bitwardenSecretManagerProvider": {"mode": "Disabled"}}});
    assert_eq!(states(&config(switched.clone())), (Absent, Absent));
    assert_eq!(states(&both(config(switched))), (LeftOver, LeftOver));
    let deployment = workload(
        "external-secrets",
        json!({NAME: "bitwarden-sdk-server"}),
        json!({}),
    );
    assert_eq!(states(&eso().with(Source::Workload, deployment)).1, Present);
}

#[test]
fn of_several_istio_csr_objects_the_oldest_accepted_one_counts() {
    let object = |namespace: &str, created: &str, annotations: Value| json!({"metadata": {"name": "default", "namespace": namespace, "creationTimestamp": created, "annotations": annotations}});
    let case = bare(Operand::CertManager)
        .with(
            Source::IstioCsr,
            object("young", "2026-02-01T00:00:00Z", json!({})),
        )
        .with(Source::IstioCsr, object("old", "2026-01-01T00:00:00Z", json!({})))
        .with(
            Source::IstioCsr,
            object(
                "rejected",
                "2025-01-01T00:00:00Z",
                json!({"operator.openshift.io/istio-csr-reject-multiple-instance": "true"}),
            ),
        );
    let facts = case.facts().cert_manager;
    assert_eq!(&*facts.istio_csr.unwrap().namespace, "old");
    assert_eq!(facts.warnings[0].reason, "SeveralIstioCSR");
}

#[test]
fn istio_csr_without_its_object_is_found_by_its_workload() {
    let ports = json!({"ports": [{"containerPort": 9402}, {"containerPort": 6060}, {"containerPort": 7000}]});
    let deployment = |container| workload("mesh", json!({"app": "cert-manager-istio-csr"}), container);
    let port = |container: Value| {
        let case = bare(Operand::CertManager).with(Source::Workload, deployment(container));
        let found = case.facts().cert_manager.istio_csr.unwrap();
        assert_eq!((&*found.namespace, found.service_port), ("mesh", 443));
        found.grpc_port
    };
    assert_eq!(port(json!({})), 6443);
    assert_eq!(port(ports.clone()), 7000);
    assert_eq!(port(json!({"args": ["--serving-address", "0.0.0.0:7001"]})), 7001);
    assert_eq!(
        port(json!({"command": ["istio-csr", "--serving-address=[::]:7002"]})),
        7002
    );
}

#[test]
fn federation_without_a_spire_server_is_seen_on_its_stateful_set() {
    let set = |ports: Value| workload(ZTWIM, json!({NAME: "spire-server"}), json!({"ports": ports}));
    let found = |ports: Value| {
        bare(Operand::ZeroTrustWorkloadIdentityManager)
            .with(Source::Workload, set(ports))
            .facts()
            .spire
            .federation
    };
    assert!(found(json!([{"name": "federation", "containerPort": 8443}])).is_some());
    assert!(found(json!([{"name": "grpc", "containerPort": 8081}])).is_none());
}

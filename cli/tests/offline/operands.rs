//! `render operand`: what a cluster would get, from the operand's own objects alone.

use serde_json::Value;

use crate::run::{bulkhead, with_input};

const CONFIG: &str = r"
apiVersion: operator.openshift.io/v1alpha1
kind: ExternalSecretsConfig
metadata: {name: cluster}
spec:
  plugins: {bitwardenSecretManagerProvider: {mode: Enabled}}
  controllerConfig:
    certProvider: {certManager: {mode: Enabled}}
    networkPolicies:
    - {name: to-vault, componentName: CoreController, egress: [{ports: [{port: 8200}]}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kubernetes, namespace: default, labels: {kubernetes.io/service-name: kubernetes}}
addressType: IPv4
ports: [{name: https, port: 7443, protocol: TCP}]
";

fn names(value: &Value, namespace: &str) -> Vec<String> {
    let items = value["items"].as_array().into_iter().flatten();
    let here = items.filter(|i| i["metadata"]["namespace"] == namespace);
    here.filter_map(|i| i["metadata"]["name"].as_str().map(Into::into))
        .collect()
}

#[test]
fn a_bundle_is_rendered_from_the_objects_of_its_operand_alone() {
    let run = with_input("render operand external-secrets -f - -o json", CONFIG).exits(0);
    let value = run.json();
    assert_eq!(
        names(&value, "external-secrets-operator"),
        ["allow-operator-traffic", "deny-all-traffic"]
    );
    let operands = names(&value, "external-secrets");
    for wanted in [
        "to-vault",
        "allow-api-server-egress-for-bitwarden-sever",
        "deny-all-traffic",
    ] {
        assert!(
            operands.iter().any(|n| n == wanted),
            "{wanted} is missing in {operands:?}"
        );
    }
    assert!(
        !operands.iter().any(|n| n.contains("cert-controller")),
        "cert-manager makes the certificates: {operands:?}"
    );
    let last = operands.last().map(String::as_str);
    assert_eq!(last, Some("deny-all-traffic"), "the deny comes last");
    let label = &value["items"][0]["metadata"]["labels"]["network.operator.openshift.io/operand-bundle"];
    assert_eq!(label, "external-secrets");
    assert!(
        run.out.contains("7443"),
        "the API server's port was given: {}",
        run.out
    );
    assert!(run.err.contains("NoBitwardenEgress"), "{}", run.err);
}

#[test]
fn our_own_object_is_honoured() {
    let ours = format!(
        "{CONFIG}---\n{}",
        "apiVersion: network.operator.openshift.io/v1alpha1\nkind: OperandNetworkPolicy\nmetadata: {name: \
         external-secrets}\nspec: {operand: ExternalSecrets, externalSecrets: {operatorNamespace: elsewhere}}\n"
    );
    let value = with_input("render operand external-secrets -f - -o json", &ours)
        .exits(0)
        .json();
    assert_eq!(names(&value, "elsewhere").len(), 2);
    assert!(names(&value, "external-secrets-operator").is_empty());
}

#[test]
fn mistakes_are_told_with_what_to_do() {
    let nothing = with_input("render operand ztwim -f -", CONFIG).exits(1);
    assert!(
        nothing
            .err
            .contains("nothing tells that the operand of ztwim is there"),
        "{nothing:?}"
    );
    let unknown = bulkhead("render operand vault").exits(1);
    assert!(
        unknown.err.contains("ztwim, cert-manager, external-secrets"),
        "{unknown:?}"
    );
    let nobody = bulkhead("render operand").exits(1);
    assert!(nobody.err.contains("name a bundle"), "{nobody:?}");
    let file = bulkhead("render openshift-dns -f x.yaml").exits(1);
    assert!(file.err.contains("-f belongs to render operand"), "{file:?}");
    let broken = with_input("render operand ztwim -f -", "a: [").exits(1);
    assert!(broken.err.contains("cannot be read"), "{broken:?}");
}

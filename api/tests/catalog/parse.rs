//! What a reader of the catalog says about files that are wrong.

use bulkhead_api::catalog::{Catalog, CatalogError};

const HEADER: (&str, &str) = ("catalog.yaml", "sequence: 7\nrelease: '5.1'\n");

fn entry(namespace: &str) -> String {
    format!("namespace: {namespace}\nlineage: Legacy\napplicability: Empty\nsources: []\nconfidence: high\n")
}

fn error(files: &[(&str, &str)]) -> CatalogError {
    Catalog::parse(files.iter().copied()).expect_err("the files are wrong")
}

#[test]
fn a_catalog_of_a_header_and_entries_is_read() {
    let one = entry("openshift-one");
    let catalog = Catalog::parse([("one.yaml", one.as_str()), HEADER]).expect("a good catalog");
    assert_eq!((catalog.header.sequence, catalog.entries.len()), (7, 1));
    assert!(catalog.group("ingress").is_none());
}

#[test]
fn a_malformed_file_is_named_with_line_and_column() {
    let text = entry("openshift-one").replace("Empty", "Sometimes");
    let message = error(&[HEADER, ("openshift-one.yaml", &text)]).to_string();
    assert!(
        message.starts_with("openshift-one.yaml: applicability: "),
        "{message}"
    );
    assert!(
        message.contains("Sometimes") && message.contains("at line 3 column 16"),
        "{message}"
    );
}

#[test]
fn a_field_that_nobody_knows_is_an_error_and_not_ignored() {
    let text = entry("openshift-one") + "isolate: true\n";
    let message = error(&[HEADER, ("openshift-one.yaml", &text)]).to_string();
    assert!(
        message.contains("unknown field `isolate`") && message.contains("line 6"),
        "{message}"
    );
}

#[test]
fn a_missing_field_is_named() {
    let text = entry("openshift-one").replace("confidence: high\n", "");
    let message = error(&[HEADER, ("openshift-one.yaml", &text)]).to_string();
    assert!(
        message.starts_with("openshift-one.yaml: missing field `confidence`"),
        "{message}"
    );
}

#[test]
fn a_named_port_in_an_entry_is_found_with_its_place() {
    let servers = "servers:\n- name: web\n  podSelector: {}\n  rules:\n  - ports: [{port: https}]\n";
    let text = entry("openshift-one") + servers + "    clients: [{type: Anywhere}]\n";
    let message = error(&[HEADER, ("openshift-one.yaml", &text)]).to_string();
    assert!(
        message.contains("servers[0].rules[0].ports[0].port") && message.contains("line 10"),
        "{message}"
    );
}

#[test]
fn a_malformed_header_is_named() {
    let message = error(&[("catalog.yaml", "sequence: many\nrelease: '5.0'\n")]).to_string();
    assert!(
        message.starts_with("catalog.yaml: sequence: ") && message.contains("line 1"),
        "{message}"
    );
}

#[test]
fn a_catalog_without_its_header_is_an_error() {
    let one = entry("openshift-one");
    assert!(matches!(
        error(&[("openshift-one.yaml", &one)]),
        CatalogError::NoHeader
    ));
    assert!(matches!(error(&[]), CatalogError::NoHeader));
}

#[test]
fn two_files_about_one_namespace_are_an_error() {
    let one = entry("openshift-one");
    let files = [HEADER, ("a.yaml", one.as_str()), ("b.yaml", one.as_str())];
    match error(&files) {
        CatalogError::Duplicate { file, namespace } => {
            assert_eq!((file.as_str(), namespace.as_str()), ("b.yaml", "openshift-one"));
        }
        other => panic!("{other}"),
    }
}

#[test]
fn namespaces_that_are_never_written_to_are_refused() {
    for name in ["default", "kube-system", "kube-public"] {
        let text = entry(name);
        match error(&[HEADER, ("x.yaml", &text)]) {
            CatalogError::Forbidden { file, namespace } => {
                assert_eq!((file.as_str(), namespace.as_str()), ("x.yaml", name));
            }
            other => panic!("{other}"),
        }
    }
}

//! The definitions in the repository are the ones that the types give.

use std::{fs, path::Path};

#[test]
fn crd_files_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for file in bulkhead_api::crds::all() {
        let stored = fs::read_to_string(root.join(file.path)).unwrap_or_default();
        let fresh = bulkhead_api::crds::render(&file.crd).unwrap();
        assert!(
            stored == fresh,
            "{} is stale: run `cargo run -p bulkhead-api --bin crdgen`",
            file.path
        );
    }
}

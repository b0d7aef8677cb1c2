//! The API reference in the repository is the one that the types give.

use std::{fs, path::Path, process::Command};

#[test]
fn the_api_reference_is_up_to_date() {
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("apidoc");
    let status = Command::new(env!("CARGO_BIN_EXE_apidoc"))
        .arg(&fresh)
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api.md");
    assert!(
        fs::read_to_string(stored).unwrap_or_default()
            == fs::read_to_string(fresh.join("docs/api.md")).unwrap(),
        "docs/api.md is stale: run `cargo run -p bulkhead-api --bin apidoc`"
    );
}

//! Writes the custom resource definitions below the folder named by the first argument (default: here).

use std::{fs, path::Path};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    for file in bulkhead_api::crds::all() {
        let path = Path::new(&root).join(file.path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, bulkhead_api::crds::render(&file.crd)?)?;
        println!("{}", file.path);
    }
    Ok(())
}

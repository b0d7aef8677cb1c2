//! `kubectl bulkhead`.

use std::process::ExitCode;

fn main() -> ExitCode {
    kubectl_bulkhead::run(std::env::args_os())
}

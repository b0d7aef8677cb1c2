//! `bulkhead-operator`.

use bulkhead_controllers::{operator, runtime::args::Args};

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    operator::run(Args::parse_or_exit()).await
}

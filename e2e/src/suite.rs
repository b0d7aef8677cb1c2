//! Scenario suites: each scenario is a test of its own, run one after the other, with names and filters as
//! `cargo test` has them.

use std::future::Future;
use std::process::ExitCode;
use std::time::Instant;

use libtest_mimic::{Arguments, Failed, Trial};

/// A file of scenarios.
#[derive(Default)]
pub struct Suite {
    trials: Vec<Trial>,
}

impl Suite {
    /// Adds a scenario of the default slice.
    #[must_use]
    pub fn scenario<F, R>(self, name: &str, run: F) -> Self
    where
        F: FnOnce() -> R + Send + 'static,
        R: Future<Output = anyhow::Result<()>>,
    {
        self.add(name, run, false)
    }

    /// Adds a scenario that runs only with `-- --ignored` or `-- --include-ignored`: it takes long.
    #[must_use]
    pub fn long<F, R>(self, name: &str, run: F) -> Self
    where
        F: FnOnce() -> R + Send + 'static,
        R: Future<Output = anyhow::Result<()>>,
    {
        self.add(name, run, true)
    }

    fn add<F, R>(mut self, name: &str, run: F, long: bool) -> Self
    where
        F: FnOnce() -> R + Send + 'static,
        R: Future<Output = anyhow::Result<()>>,
    {
        let title = name.to_owned();
        let body = move || -> Result<(), Failed> {
            let started = Instant::now();
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?;
            let outcome = runtime.block_on(run());
            println!("  {title}: {:.1} s", started.elapsed().as_secs_f64());
            outcome.map_err(|error| Failed::from(format!("{error:#}")))
        };
        self.trials.push(Trial::test(name, body).with_ignored_flag(long));
        self
    }

    /// Runs what the command line asks for.
    pub fn run(self) -> ExitCode {
        let mut arguments = Arguments::from_args();
        // Each scenario has a control plane of its own, and the machine is small.
        arguments.test_threads = Some(arguments.test_threads.unwrap_or(1));
        libtest_mimic::run(&arguments, self.trials).exit_code()
    }
}

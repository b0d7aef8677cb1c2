//! The tests.

pub mod deny_first;
pub mod faults;
pub mod operands;
pub mod release;
pub mod tables;
pub mod transitions;
pub mod upgrade;
pub mod watch;

use std::future::Future;
use std::path::Path;
use std::time::Instant;

use super::cast::{self, Member, Role};
use super::ground::Ground;
use super::junit::{Case, Outcome, Suite};
use super::stage::{self, Stage};

/// A run of tests, told as it goes.
#[derive(Default)]
pub struct Run {
    suite: Suite,
}

/// Why a test could not run. Anything else that goes wrong is a failure.
#[derive(Debug)]
pub struct Skip(pub String);

impl std::fmt::Display for Skip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}

impl Run {
    /// A run of this name.
    pub fn new(name: &str) -> Self {
        Self {
            suite: Suite {
                name: name.to_owned(),
                cases: Vec::new(),
            },
        }
    }

    /// Runs a test, which gives what it measured. A test after a failed one runs all the same.
    pub async fn case(&mut self, name: &str, body: impl Future<Output = anyhow::Result<String>>) {
        println!("--- {name}");
        let began = Instant::now();
        let (outcome, output) = match body.await {
            Ok(output) => (Outcome::Passed, output),
            Err(error) => match error.downcast_ref::<Skip>() {
                Some(reason) => (Outcome::Skipped(reason.0.clone()), String::new()),
                None => (Outcome::Failed(format!("{error:#}")), String::new()),
            },
        };
        let took = began.elapsed();
        for line in output.lines() {
            println!("    {line}");
        }
        match &outcome {
            Outcome::Passed => println!("    passed in {:.1} s", took.as_secs_f64()),
            Outcome::Failed(why) => println!("    FAILED after {:.1} s: {why}", took.as_secs_f64()),
            Outcome::Skipped(why) => println!("    skipped: {why}"),
        }
        self.suite.cases.push(Case {
            name: name.to_owned(),
            outcome,
            took,
            output,
        });
    }

    /// Prints the sums, writes the report, and says whether nothing failed and something passed.
    pub fn finish(self, report: Option<&Path>) -> anyhow::Result<bool> {
        let (passed, failed, skipped) = self.suite.counts();
        println!(
            "{}: {passed} passed, {failed} failed, {skipped} skipped",
            self.suite.name
        );
        if let Some(path) = report {
            self.suite.write(path)?;
        }
        Ok(failed == 0 && passed > 0)
    }
}

/// Puts the whole cast of the repository into the cluster.
pub async fn set_stage(ground: &Ground) -> anyhow::Result<Stage> {
    set_cast(ground, &cast::built_in(&ground.rules.facts)?).await
}

/// Puts a cast into the cluster.
pub async fn set_cast(ground: &Ground, members: &[Member]) -> anyhow::Result<Stage> {
    let nodes = stage::nodes(ground.client()).await?;
    anyhow::ensure!(!nodes.is_empty(), "the cluster has no node that is ready");
    let roles: Vec<Role> = cast::roles(members, nodes.len());
    let began = Instant::now();
    let stage = Stage::set(ground.client(), roles, &ground.setting.image, &nodes).await?;
    println!(
        "{} pods of {} members on {} of {} nodes run after {:.1} s",
        stage.roles.len(),
        members.len(),
        nodes.len().min(2),
        nodes.len(),
        began.elapsed().as_secs_f64()
    );
    if nodes.len() < 2 {
        println!("skipped: everything across nodes (there is one node only)");
    }
    Ok(stage)
}

//! `bulkhead-packets`: tests with real traffic against the cluster of a kubeconfig.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use bulkhead_e2e::operator::{Operator, Options};
use bulkhead_e2e::packets::flows::Pace;
use bulkhead_e2e::packets::ground::{Ground, Running, Setting};
use bulkhead_e2e::packets::jobs::release::Plugin;
use bulkhead_e2e::packets::jobs::{
    Run, deny_first, faults, operands, release, set_stage, tables, transitions, upgrade, watch,
};
use bulkhead_e2e::packets::stage::Stage;
use bulkhead_policy::Dialect;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Opens real connections between pods that stand in for OpenShift's components, and compares what gets through
/// with what the facts demand and the policy engine predicts.
#[derive(Parser)]
#[command(name = "bulkhead-packets", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    setting: SettingArgs,
    #[command(subcommand)]
    job: Job,
}

#[derive(Args)]
struct SettingArgs {
    /// Kubeconfig of an administrator of the cluster under test
    #[arg(
        long,
        env = "KUBECONFIG",
        value_name = "FILE",
        global = true,
        default_value = "kubeconfig"
    )]
    kubeconfig: PathBuf,
    /// Image that holds /bulkhead-probe
    #[arg(
        long,
        value_name = "IMAGE",
        global = true,
        default_value = "devcluster.local/probe:1"
    )]
    probe_image: String,
    /// How the network plugin of the cluster reads policies: cilium, ovn-kubernetes, calico or spec
    #[arg(long, value_name = "NAME", global = true, default_value = "cilium", value_parser = dialect)]
    dialect: Dialect,
    /// Who runs the operator: the tests as a process of their own, or it is installed in the cluster
    #[arg(long, value_enum, global = true, default_value = "process")]
    operator: Where,
    /// Kubeconfig of the operator's service account, for an operator that the tests run [default: --kubeconfig]
    #[arg(long, value_name = "FILE", global = true)]
    operator_kubeconfig: Option<PathBuf>,
    /// Settle time of an operator that the tests run, in seconds
    #[arg(long, value_name = "SECONDS", global = true, default_value_t = 3)]
    settle: u64,
    /// Longest time that the operator may take for anything, in seconds
    #[arg(long, value_name = "SECONDS", global = true, default_value_t = 240)]
    limit: u64,
    /// Folder of a devcluster, whose parts may be ended
    #[arg(long, value_name = "DIR", global = true)]
    devcluster: Option<PathBuf>,
    /// Time between two fresh probes of a flow, in milliseconds
    #[arg(long, value_name = "MILLISECONDS", global = true, default_value_t = 10)]
    every: u64,
    /// How many flows are probed that often; all others a twentieth as often
    #[arg(long, value_name = "COUNT", global = true, default_value_t = 12)]
    first_line: usize,
    /// Program of the kubectl plugin
    #[arg(long, value_name = "FILE", global = true, default_value = "kubectl-bulkhead")]
    plugin: PathBuf,
    /// Also write the results as JUnit XML
    #[arg(long, value_name = "FILE", global = true)]
    junit: Option<PathBuf>,
    /// Leave the pods in the cluster at the end
    #[arg(long, global = true)]
    keep: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Where {
    Process,
    Installed,
}

#[derive(Clone, Copy, PartialEq, Eq, Subcommand)]
enum Job {
    /// A bounded part of everything: the wrong order, a toggle, half way, and the tables of both modes
    Quick,
    /// Truth tables of every mode, isolation and override
    Tables,
    /// The wrong order, then probes during all transitions
    Transitions {
        /// How often each transition is repeated
        #[arg(long, default_value_t = 3)]
        rounds: u64,
    },
    /// Transitions while parts of the cluster break
    Faults,
    /// Real operands and stand-ins under their bundles
    Operands,
    /// Release job: all traffic and the default suite in Restricted
    Restricted,
    /// Release job: catalog upgrade, rollback, and downgrade through prepare-downgrade, in Restricted
    Upgrade,
    /// Release job: every namespace labelled and covered; starts no pods
    DefaultSuite,
    /// Put the pods into the cluster and leave them there
    Stage,
    /// Take the pods away
    Clear,
    /// Show some connections as they open and close
    Watch {
        /// For so many seconds
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
}

impl Job {
    fn name(self) -> &'static str {
        match self {
            Self::Quick => "packets-quick",
            Self::Tables => "packets-tables",
            Self::Transitions { .. } => "packets-transitions",
            Self::Faults => "packets-faults",
            Self::Operands => "packets-operands",
            Self::Restricted => "packets-restricted",
            Self::Upgrade => "packets-upgrade",
            Self::DefaultSuite => "packets-default-suite",
            Self::Stage => "packets-stage",
            Self::Clear => "packets-clear",
            Self::Watch { .. } => "packets-watch",
        }
    }

    /// Whether an operator of the tests' own is wanted for it.
    fn needs_operator(self) -> bool {
        !matches!(
            self,
            Self::Stage | Self::Clear | Self::Watch { .. } | Self::DefaultSuite
        )
    }
}

fn dialect(name: &str) -> Result<Dialect, String> {
    Dialect::named(name)
        .ok_or_else(|| format!("there is no dialect {name}: cilium, ovn-kubernetes, calico, spec"))
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<bool> {
    let Cli { setting: args, job } = cli;
    let plugin = Plugin {
        program: args.plugin.clone(),
        kubeconfig: args.kubeconfig.clone(),
    };
    let ground = Ground::new(setting(&args)).await?;
    let mut run = Run::new(job.name());
    if job == Job::DefaultSuite {
        release::default_suite(&mut run, &plugin, None).await;
        return run.finish(args.junit.as_deref());
    }
    let stage = if job == Job::Operands {
        operands::set_stage(&ground).await?
    } else {
        set_stage(&ground).await?
    };
    let outcome = tokio::select! {
        outcome = play(job, &mut run, &ground, &stage, &plugin) => outcome,
        signal = tokio::signal::ctrl_c() => {
            signal.context("waiting for signals")?;
            Err(anyhow::anyhow!("interrupted"))
        }
    };
    let keeps = args.keep || matches!(job, Job::Stage | Job::Watch { .. });
    if !keeps {
        stage.clear().await.context("taking the pods away")?;
    }
    outcome?;
    if matches!(job, Job::Stage | Job::Clear) {
        return Ok(true);
    }
    run.finish(args.junit.as_deref())
}

async fn play(
    job: Job,
    run: &mut Run,
    ground: &Ground,
    stage: &Stage,
    plugin: &Plugin,
) -> anyhow::Result<()> {
    if matches!(job, Job::Quick | Job::Transitions { .. }) && ground.setting.running != Running::Installed {
        // Before any operator looks after the namespaces.
        run.case(
            "probes notice a script that denies first",
            deny_first::run(ground, stage),
        )
        .await;
    }
    let mut operator: Option<Operator> = None;
    if job.needs_operator() {
        operator = ground.operator(Options::default()).await?;
    }
    match job {
        Job::Quick => {
            tables::quick(run, ground, stage).await?;
            transitions::run(run, ground, stage, &mut operator, 1).await
        }
        Job::Tables => tables::run(run, ground, stage).await,
        Job::Transitions { rounds } => {
            transitions::run(run, ground, stage, &mut operator, rounds).await?;
            upgrade::run(run, ground, stage, &mut operator).await
        }
        Job::Faults => faults::run(run, ground, stage).await,
        Job::Operands => operands::run(run, ground, stage).await,
        Job::Restricted => release::restricted(run, ground, stage, plugin).await,
        Job::Upgrade => release::upgrades(run, ground, stage, &mut operator, plugin).await,
        Job::Watch { seconds } => {
            let length = Duration::from_secs(seconds);
            run.case("live traffic", watch::run(ground, stage, length)).await;
            Ok(())
        }
        Job::Stage | Job::Clear | Job::DefaultSuite => Ok(()),
    }
}

fn setting(args: &SettingArgs) -> Setting {
    Setting {
        kubeconfig: args.kubeconfig.clone(),
        image: args.probe_image.clone(),
        dialect: args.dialect.clone(),
        running: match args.operator {
            Where::Installed => Running::Installed,
            Where::Process => Running::Outside(args.operator_kubeconfig.clone()),
        },
        settle: Duration::from_secs(args.settle),
        devcluster: args.devcluster.clone(),
        pace: Pace {
            every: Duration::from_millis(args.every.max(1)),
            first_line: args.first_line,
            longest: Duration::from_mins(30),
        },
        limit: Duration::from_secs(args.limit),
    }
}

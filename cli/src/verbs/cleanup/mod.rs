//! `cleanup`: removes every trace of Bulkhead from system namespaces, in an order in which nothing of ours ever
//! denies a connection.

mod forecast;
mod leader;
mod removal;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, bail};
use bulkhead_controllers::decide::Role;
use bulkhead_controllers::observe::ObservedPolicy;
use bulkhead_controllers::plan::{Input, View};
use clap::Args;
use kube::Client;
use tokio::time::sleep;

use self::forecast::Forecast;
use self::leader::Leader;
use self::removal::Remover;
use crate::Outcome;
use crate::args::{DryRun, SettleArgs, WriteArgs};
use crate::look::{Look, LookArgs};
use crate::policies::{is_our_allow_all, opens_all};
use crate::session::Session;

/// Arguments of `cleanup`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Needs the emergency hold (see unrestrict) and no running operator. Restrictive sets go first, \
    under allow-alls that everybody has seen; the allow-alls go when everybody has seen that; labels that no stored \
    policy selects by and SystemNamespaces go last. What others ship then applies again: --dry-run lists it."
)]
pub struct CleanupArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub settle: SettleArgs,
    /// Go on although policies of others will then deny connections that are declared as required
    #[arg(long)]
    pub accept_denials: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub write: WriteArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub look: LookArgs,
}

/// Cleans up.
pub async fn run(args: &CleanupArgs, session: &Session) -> Result<Outcome> {
    if args.write.output.is_some() {
        bail!("-o is not offered here: each write is told as it happens");
    }
    let client = session.client().await?;
    let cleanup = Cleanup {
        client,
        args,
        session,
    };
    let before = cleanup.take_stock().await?;
    if before.namespaces.is_empty() {
        session.note("Nothing of Bulkhead is left in any namespace.");
        return Ok(Outcome::Success);
    }
    let denials = cleanup.forecast(&before)?;
    let dry_run = args.write.dry_run;
    if dry_run == DryRun::None {
        if denials > 0 && !args.accept_denials {
            bail!(
                "policies of others will deny required connections in {denials} namespaces (above): change those \
                 policies, or repeat with --accept-denials"
            );
        }
        cleanup.require_hold(&before)?;
        cleanup.require_open(&before)?;
    }
    let remover = Remover {
        client: &cleanup.client,
        dry_run,
        session,
    };
    let leader = cleanup.wait_for_quiet(&before).await?;
    remover.sets(&cleanup.unchanged_since(&before).await?).await?;
    cleanup.settle(&leader).await?;
    let after_sets = cleanup.take_stock().await?;
    if dry_run == DryRun::None {
        cleanup.require_hold(&after_sets)?;
        cleanup.require_open(&after_sets)?;
        after_sets.require_no_sets()?;
    }
    remover.openers(&after_sets).await?;
    remover.labels(&after_sets).await?;
    remover.system_namespaces(&after_sets).await?;
    session.note(
        "The hold stays on systemisolation/cluster, so that an operator that starts again closes nothing. Remove the \
         rest with: kubectl delete -k on the overlay that was installed",
    );
    Ok(Outcome::Success)
}

/// Policies of bundles go as those of the switch do: the sets first, what opens last.
fn with_bundles(mut input: Input) -> Input {
    for policy in &mut input.policies {
        if policy.is_of_bundle() {
            *policy = Arc::new(ObservedPolicy {
                bundle: None,
                ..(**policy).clone()
            });
        }
    }
    input
}

/// What is of ours, by namespace.
struct Stock {
    look_has_hold: bool,
    namespaces: BTreeMap<Arc<str>, Input>,
}

impl Stock {
    fn views(&self) -> impl Iterator<Item = View<'_>> {
        self.namespaces.values().map(View::new)
    }

    fn require_no_sets(&self) -> Result<()> {
        let left: Vec<String> = self
            .views()
            .flat_map(|view| {
                view.ours
                    .iter()
                    .filter(|p| !opens(p))
                    .map(|p| named(p))
                    .collect::<Vec<_>>()
            })
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        bail!(
            "restrictive policies appeared again ({}): something still writes them",
            left.join(", ")
        )
    }
}

fn opens(policy: &ObservedPolicy) -> bool {
    policy.role.is_some_and(Role::opens)
}

fn named(policy: &ObservedPolicy) -> String {
    format!("{}/{}", policy.policy.namespace, policy.name)
}

struct Cleanup<'a> {
    client: Client,
    args: &'a CleanupArgs,
    session: &'a Session,
}

impl Cleanup<'_> {
    async fn take_stock(&self) -> Result<Stock> {
        let mut look = Look::take(&self.client, &self.args.look, self.session).await?;
        let mut namespaces = BTreeMap::new();
        for name in look.names() {
            let Some(input) = look.input(&name) else { continue };
            let input = with_bundles(input);
            if !View::new(&input).ours.is_empty() || input.system.is_some() {
                namespaces.insert(name, input);
            }
        }
        Ok(Stock {
            look_has_hold: look.cluster.config.hold.is_some(),
            namespaces,
        })
    }

    /// Prints what policies of others will then deny; tells in how many namespaces that is required.
    fn forecast(&self, stock: &Stock) -> Result<usize> {
        let forecasts: Vec<Forecast> = stock.views().map(|view| Forecast::of(&view)).collect();
        self.session
            .print(&forecast::table(&forecasts, self.session.colored()))?;
        Ok(forecasts.iter().filter(|f| !f.denied.is_empty()).count())
    }

    fn require_hold(&self, stock: &Stock) -> Result<()> {
        let held_everywhere = || {
            let mut holding = stock
                .views()
                .filter(|view| view.input.object.is_some() && !view.ours.is_empty());
            holding.all(|view| view.ours.iter().any(|p| p.hold && is_our_allow_all(p)))
        };
        if stock.look_has_hold || held_everywhere() {
            return Ok(());
        }
        bail!(
            "the emergency hold is not set, so an operator that starts again could close namespaces half-way: run {} \
             unrestrict first",
            self.session.program
        )
    }

    fn require_open(&self, stock: &Stock) -> Result<()> {
        let closed: Vec<String> = stock
            .views()
            .filter(|view| view.input.object.is_some() && !view.terminating())
            .filter(|view| view.ours.iter().any(|p| !opens(p)))
            .filter(|view| {
                !view
                    .ours
                    .iter()
                    .any(|p| is_our_allow_all(p) && opens_all(&p.policy))
            })
            .map(|view| view.input.name.to_string())
            .collect();
        if closed.is_empty() {
            return Ok(());
        }
        bail!(
            "not open: {}; run {} unrestrict first",
            closed.join(", "),
            self.session.program
        )
    }

    /// Waits until no leader can be alive and everybody has seen the allow-alls.
    async fn wait_for_quiet(&self, before: &Stock) -> Result<Leader> {
        let leader = Leader::read(&self.client).await?;
        if self.args.write.dry_run != DryRun::None {
            return Ok(leader);
        }
        let wait = leader.observation().max(self.args.settle.settle_time);
        self.session.note(&format!(
            "{} namespaces: watching for a live operator and letting everybody see the allow-alls, {wait:?} …",
            before.namespaces.len()
        ));
        sleep(wait).await;
        leader.require_gone(&self.client).await?;
        Ok(leader)
    }

    /// Looks again: the allow-alls must be the ones that everybody had the time to see.
    async fn unchanged_since(&self, before: &Stock) -> Result<Stock> {
        let now = self.take_stock().await?;
        if self.args.write.dry_run != DryRun::None {
            return Ok(now);
        }
        self.require_hold(&now)?;
        self.require_open(&now)?;
        let allow_alls = |stock: &Stock| -> BTreeMap<String, Arc<str>> {
            let ours = stock.views().flat_map(|view| {
                let allow_alls = view.ours.iter().filter(|p| is_our_allow_all(p));
                allow_alls
                    .map(|p| (named(p), p.resource_version.clone()))
                    .collect::<Vec<_>>()
            });
            ours.collect()
        };
        if allow_alls(before) != allow_alls(&now) {
            bail!("allow-alls were written meanwhile, so not everybody has seen them: run the command again");
        }
        Ok(now)
    }

    async fn settle(&self, leader: &Leader) -> Result<()> {
        if self.args.write.dry_run != DryRun::None {
            return Ok(());
        }
        self.session.note(&format!(
            "Letting everybody see that the restrictive sets are gone, {:?} …",
            self.args.settle.settle_time
        ));
        sleep(self.args.settle.settle_time).await;
        leader.require_gone(&self.client).await
    }
}

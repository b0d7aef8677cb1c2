//! Probing what is required while something happens.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use anyhow::{bail, ensure};
use bulkhead_probe::message::{Failure, Reply, Request, Target};
use bulkhead_probe::series::Summary;
use bulkhead_probe::{ANSWER_MS, TIMEOUT_MS, pod};

use super::cast::Role;
use super::exec::target;
use super::stage::Stage;
use super::truth::{Attempt, Expect, Mode, Modes, Truth, attempts};
use crate::checker::Rules;
use crate::checker::objects::Protocol;
use crate::wait::eventually;

/// How much more seldom the other flows are probed than those in the first line.
const SELDOM: u64 = 20;
/// How long asking one prober may take.
const ASK: Duration = Duration::from_secs(30);
/// How long probers may be out of reach: the API server and kubelets carry the question, and some tests end those.
const REACH: Duration = Duration::from_mins(2);
/// Where the kernel says that it denied nothing because of a policy, one connection in so many may fail to come about.
const TOLERATED_CUT: u64 = 2_000;
/// One probe in so many may prove nothing, because the prober itself had no time or no descriptor, or, where the kernel
/// denied nothing, because the answer was late; if it is more, the run proves nothing.
const TOLERATED_LOCAL: u64 = 200;

/// How flows are probed.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Pace {
    /// Between two fresh connections of a flow in the first line.
    pub every: Duration,
    /// How many flows are in the first line; the others, and the held connections, are tried a twentieth as often.
    pub first_line: usize,
    /// Probes end by themselves after this time.
    pub longest: Duration,
}

/// Flows that are being probed. One prober keeps one pace, so the lines have clients of their own.
pub struct Flows<'a> {
    stage: &'a Stage,
    clients: Vec<&'a Role>,
    flows: usize,
}

/// What was counted.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Tally {
    pub flows: usize,
    pub probes: u64,
    pub held: u64,
    pub lost: u64,
    /// Those among the lost ones whose connection stood, and datagrams: they may have been late.
    pub late: u64,
    pub slow: u64,
    pub skipped: u64,
    pub local: u64,
    pub p99_us: u64,
    pub max_us: u64,
    /// Packets that the kernel denied because of a policy meanwhile, where it is known.
    pub denied: Option<u64>,
    /// Flows that lost something, with when and how much.
    pub losses: Vec<String>,
}

/// The flows that are required in every mode, each server's port from one client on its node and one on the other.
/// Different clients come first, so that a cut of the list keeps its variety.
pub fn required<'a>(rules: &Rules, roles: &'a [Role], fallback: bool) -> Vec<Attempt<'a>> {
    let modes = [
        Mode::Restricted { egress: false },
        Mode::Restricted { egress: true },
    ]
    .map(Modes::all);
    let must = |attempt: &Attempt<'_>| {
        modes.iter().all(|modes| {
            let truth = Truth {
                rules,
                modes,
                fallback,
            };
            truth.of(*attempt).expect == Expect::Must
        })
    };
    let system = |a: &Attempt<'_>| {
        a.server.member.namespace.starts_with("openshift-") && !a.server.member.host_network
    };
    // A client on the server's own host is never subject to policies and shows nothing.
    let interesting = |a: &Attempt<'_>| !(a.client.member.host_network && a.client.node == a.server.node);
    let mut seen = BTreeSet::new();
    let mut servers = BTreeMap::<String, usize>::new();
    let mut chosen: Vec<(usize, Attempt<'a>)> = Vec::new();
    for attempt in attempts(roles)
        .into_iter()
        .filter(|a| system(a) && interesting(a) && must(a))
    {
        let same_node = attempt.client.node == attempt.server.node;
        if seen.insert((attempt.server.id(), attempt.port, same_node)) {
            let turn = servers.entry(attempt.server.id()).or_default();
            chosen.push((*turn, attempt));
            *turn += 1;
        }
    }
    // One flow of each server, then the second one of each.
    chosen.sort_by_key(|(turn, _)| *turn);
    chosen.into_iter().map(|(_, attempt)| attempt).collect()
}

impl<'a> Flows<'a> {
    /// Begins.
    pub async fn start(stage: &'a Stage, attempts: &[Attempt<'a>], pace: Pace) -> anyhow::Result<Self> {
        ensure!(!attempts.is_empty(), "there is nothing to probe");
        let mut flows = Self {
            stage,
            clients: Vec::new(),
            flows: attempts.len(),
        };
        let mut targets: BTreeMap<String, (&Role, Vec<(Target, bool)>)> = BTreeMap::new();
        for (index, attempt) in attempts.iter().enumerate() {
            let fresh = target(stage, *attempt)?;
            let entry = targets.entry(attempt.client.id());
            let (_, list) = entry.or_insert_with(|| (attempt.client, Vec::new()));
            if attempt.port.0 == Protocol::Tcp && !attempt.server.member.existing {
                let id = format!("held {}", fresh.id);
                list.push((
                    Target {
                        id,
                        held: true,
                        ..fresh.clone()
                    },
                    false,
                ));
            }
            list.push((fresh, index < pace.first_line));
        }
        for (client, list) in targets.into_values() {
            flows.clients.push(client);
            flows.begin(client, list, pace).await?;
        }
        Ok(flows)
    }

    async fn begin(&self, client: &Role, list: Vec<(Target, bool)>, pace: Pace) -> anyhow::Result<()> {
        let every = u64::try_from(pace.every.as_millis())?.max(1);
        let (mut often, mut seldom) = (Vec::new(), Vec::new());
        for (target, first) in list {
            if first { &mut often } else { &mut seldom }.push(target);
        }
        let request = Request::Start {
            groups: vec![
                bulkhead_probe::message::Group {
                    targets: often,
                    interval_ms: every,
                },
                bulkhead_probe::message::Group {
                    targets: seldom,
                    interval_ms: every * SELDOM,
                },
            ],
            timeout_ms: TIMEOUT_MS,
            answer_ms: Some(ANSWER_MS),
            max_seconds: pace.longest.as_secs(),
        };
        let pods = self.stage.pods(&client.member.namespace);
        match pod::ask(&pods, &client.pod, &[request], ASK).await?.pop() {
            Some(Reply::Started(_)) => Ok(()),
            other => bail!("{} answers {other:?}", client.id()),
        }
    }

    /// What was counted so far; probing goes on.
    pub async fn report(&self) -> anyhow::Result<Tally> {
        self.collect(false).await
    }

    /// Ends probing; what was counted.
    pub async fn stop(self) -> anyhow::Result<Tally> {
        self.collect(true).await
    }

    async fn collect(&self, stop: bool) -> anyhow::Result<Tally> {
        let mut tally = Tally {
            flows: self.flows,
            ..Tally::default()
        };
        for client in &self.clients {
            let pods = self.stage.pods(&client.member.namespace);
            let name = client.pod.clone();
            let what = format!("{} to be reached", client.id());
            let asked = eventually(&what, REACH, || pod::report(&pods, &name, stop, ASK)).await?;
            for (id, summary) in asked {
                tally.add(&id, &summary);
            }
        }
        Ok(tally)
    }
}

impl Tally {
    fn add(&mut self, id: &str, summary: &Summary) {
        let held = id.starts_with("held ");
        *(if held { &mut self.held } else { &mut self.probes }) += summary.sent;
        let failed = |why| summary.failed.get(&why).copied().unwrap_or_default();
        self.lost += summary.losses();
        self.late += failed(Failure::Silent) + failed(Failure::Unanswered);
        self.slow += summary.slow;
        self.skipped += summary.skipped;
        self.local += failed(Failure::Local);
        self.p99_us = self.p99_us.max(summary.latency.p99_us);
        self.max_us = self.max_us.max(summary.latency.max_us);
        if summary.losses() > 0 {
            let gaps: Vec<String> = summary
                .runs
                .iter()
                .filter(|run| !run.open)
                .take(3)
                .map(|run| {
                    let length = (run.last_us - run.first_us) / 1_000;
                    format!("{} at {} for {length} ms", run.count, clock(run.first_us))
                })
                .collect();
            self.losses
                .push(format!("{id}: {:?}: {}", summary.failed, gaps.join("; ")));
        }
    }

    /// Fails if anything was lost, and if next to nothing was tried. A probe that the machine lost is no loss to a
    /// policy, if the kernel has denied nobody meanwhile.
    pub fn assert_lossless(&self, minimum: u64) -> anyhow::Result<()> {
        ensure!(
            self.probes >= minimum,
            "only {} probes were sent where at least {minimum} were meant to be: {self}",
            self.probes
        );
        ensure!(
            self.local * TOLERATED_LOCAL <= self.probes,
            "this machine is too busy for probes to prove anything: {self}"
        );
        let cut_off = self.lost - self.late;
        let by_the_machine =
            self.late * TOLERATED_LOCAL <= self.probes && cut_off * TOLERATED_CUT <= self.probes;
        ensure!(
            self.lost == 0 || (self.denied == Some(0) && by_the_machine),
            "{self}\n  {}",
            self.losses.join("\n  ")
        );
        Ok(())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} required flows: {} fresh probes and {} on held connections, {} lost{} ({} slow, {} left out, {} that \
             prove nothing; p99 of the slowest flow {:.1} ms, longest {:.1} ms)",
            self.flows,
            self.probes,
            self.held,
            self.lost,
            match self.denied {
                Some(0) => ", none to a policy: the kernel denied no packet".to_owned(),
                Some(count) => format!(", and the kernel denied {count} packets because of policies"),
                None => String::new(),
            },
            self.slow,
            self.skipped,
            self.local,
            millis(self.p99_us),
            millis(self.max_us)
        )
    }
}

fn millis(us: u64) -> f64 {
    std::time::Duration::from_micros(us).as_secs_f64() * 1_000.0
}

/// The time of day.
fn clock(us: u64) -> String {
    let at = jiff::Timestamp::from_microsecond(us.cast_signed()).unwrap_or_default();
    at.strftime("%H:%M:%S%.3f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packets::cast;
    use bulkhead_probe::series::Run;

    #[test]
    fn required_flows_come_from_many_servers_and_cross_nodes() {
        let rules = Rules::built_in().unwrap();
        let roles = cast::roles(&cast::built_in(&rules.facts).unwrap(), 2);
        let flows = required(&rules, &roles, true);
        let first: BTreeSet<String> = flows.iter().take(16).map(|a| a.server.id()).collect();
        assert!(first.len() >= 14, "{first:?}");
        let across = flows.iter().filter(|a| a.client.node != a.server.node).count();
        assert!(across > 15 && across < flows.len(), "{across} of {}", flows.len());
        assert!(flows.iter().any(|a| a.port.0 == Protocol::Udp));
    }

    #[test]
    fn one_lost_probe_is_a_failure_and_silence_is_one_too() {
        let run = |open, count| Run {
            open,
            first_us: 1_000,
            last_us: 9_000,
            count,
        };
        let mut summary = Summary {
            sent: 100,
            runs: vec![run(true, 99)],
            ..Summary::default()
        };
        let mut tally = Tally::default();
        tally.add("a", &summary);
        assert!(tally.assert_lossless(50).is_ok());
        assert!(tally.assert_lossless(500).is_err(), "next to nothing was tried");
        summary.failed.insert(Failure::Timeout, 1);
        summary.runs.push(run(false, 1));
        tally.add("b", &summary);
        let error = tally.assert_lossless(50).unwrap_err().to_string();
        assert!(error.contains("b: ") && error.contains("for 8 ms"), "{error}");
        tally.denied = Some(1);
        assert!(tally.assert_lossless(50).is_err(), "the kernel denied somebody");
        tally.denied = Some(0);
        assert!(tally.assert_lossless(50).is_err(), "too many for a busy machine");
        tally.probes = TOLERATED_CUT;
        assert!(tally.assert_lossless(50).is_ok(), "{tally}");
        summary.failed = [(Failure::Silent, 9)].into();
        tally.add("c", &summary);
        assert!(tally.assert_lossless(50).is_ok(), "late: {tally}");
        tally.denied = None;
        assert!(
            tally.assert_lossless(50).is_err(),
            "nobody knows whether it was late"
        );
    }
}

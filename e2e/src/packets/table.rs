//! The truth table: every attempt, what the facts demand, what the engine predicts, and what the kernel did.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bulkhead_probe::message::{Failure, Outcome};

use super::predict::Said;
use super::truth::{Attempt, Expect, Expected};
use crate::checker::objects::Protocol;

/// How many disagreements of each kind a report lists.
const LISTED: usize = 40;

/// One attempt with everything that is known of it.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Cell<'a> {
    pub attempt: Attempt<'a>,
    pub expected: Expected,
    pub engine: Said,
    pub kernel: Outcome,
}

/// What is wrong with a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// What must get through did not.
    Cut,
    /// What must not get through did.
    Leak,
    /// The kernel denies what the engine allows.
    EngineSaysOpen,
    /// The kernel allows what the engine denies.
    EngineSaysClosed,
    /// Nobody answered, or not in time, although nothing denied it: the test is at fault, not a policy.
    Refused,
}

impl Cell<'_> {
    /// What is wrong with it, worst first.
    pub fn wrong(&self) -> Option<Wrong> {
        let open = self.kernel.open();
        if matches!(
            self.kernel.failure,
            Some(Failure::Refused | Failure::Local | Failure::Garbled | Failure::Silent)
        ) {
            return Some(Wrong::Refused);
        }
        match (self.expected.expect, open) {
            (Expect::Must, false) => return Some(Wrong::Cut),
            (Expect::MustNot, true) => return Some(Wrong::Leak),
            _ => {}
        }
        match (self.engine.open, open) {
            (true, false) => Some(Wrong::EngineSaysOpen),
            (false, true) => Some(Wrong::EngineSaysClosed),
            _ => None,
        }
    }

    /// One line of a report.
    pub fn line(&self) -> String {
        let Attempt { client, server, port } = self.attempt;
        let word = |open: bool| if open { "open" } else { "closed" };
        let place = if client.node == server.node {
            "same node"
        } else {
            "cross node"
        };
        let failure = self
            .kernel
            .failure
            .map(|f| format!(" ({f:?})"))
            .unwrap_or_default();
        format!(
            "{:<58} {:<50} {:>9}  {place:<10}  facts {:<8}  engine {:<6}  kernel {}{failure}  {}",
            client.id(),
            server.id(),
            name(port),
            format!("{:?}", self.expected.expect),
            word(self.engine.open),
            word(self.kernel.open()),
            self.expected.why
        )
    }
}

/// A port as people write it.
pub fn name((protocol, port): (Protocol, u16)) -> String {
    let protocol = match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    };
    format!("{protocol}/{port}")
}

/// All cells of one state of the cluster.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Table<'a> {
    pub title: String,
    pub cells: Vec<Cell<'a>>,
    /// Cells that agreed only at a second look.
    pub second_looks: usize,
}

impl Table<'_> {
    /// Cells that are wrong, by kind.
    pub fn wrong(&self) -> BTreeMap<Wrong, Vec<&Cell<'_>>> {
        let mut wrong: BTreeMap<Wrong, Vec<&Cell<'_>>> = BTreeMap::new();
        for cell in &self.cells {
            if let Some(kind) = cell.wrong() {
                wrong.entry(kind).or_default().push(cell);
            }
        }
        wrong
    }

    /// How many cells there are of each expectation, and what the kernel did with them.
    pub fn summary(&self) -> String {
        let mut counts: BTreeMap<(Expect, bool), usize> = BTreeMap::new();
        for cell in &self.cells {
            *counts
                .entry((cell.expected.expect, cell.kernel.open()))
                .or_default() += 1;
        }
        let count = |expect, open| counts.get(&(expect, open)).copied().unwrap_or_default();
        let both = |expect| (count(expect, true), count(expect, false));
        let ((must, cut), (leaked, kept_out)) = (both(Expect::Must), both(Expect::MustNot));
        let ((wide, narrow), (some, others)) = (both(Expect::Fallback), both(Expect::Open));
        let across = self
            .cells
            .iter()
            .filter(|c| c.attempt.client.node != c.attempt.server.node);
        let agreeing = self
            .cells
            .iter()
            .filter(|c| c.engine.open == c.kernel.open())
            .count();
        format!(
            "{}: {} cells ({} across nodes): required {must} open, {cut} cut; forbidden {kept_out} closed, {leaked} \
             leaked; port-only fall-back {wide} open, {narrow} closed; left to the declaration {some} open, {others} \
             closed; engine and kernel agree on {agreeing}; {} needed a second look",
            self.title,
            self.cells.len(),
            across.count(),
            self.second_looks
        )
    }

    /// The disagreements; empty if there are none.
    pub fn disagreements(&self) -> String {
        let mut text = String::new();
        for (kind, cells) in self.wrong() {
            let _ = writeln!(text, "{}: {kind:?}: {} cells", self.title, cells.len());
            for cell in cells.iter().take(LISTED) {
                let _ = writeln!(text, "  {}", cell.line());
            }
            if cells.len() > LISTED {
                let _ = writeln!(text, "  and {} more", cells.len() - LISTED);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packets::cast::{Member, Role};

    fn role(namespace: &str) -> Role {
        Role {
            member: Member {
                namespace: namespace.to_owned(),
                name: "x".to_owned(),
                plays: String::new(),
                labels: std::collections::BTreeMap::new(),
                host_network: false,
                ports: Vec::new(),
                everywhere: false,
                existing: false,
            },
            node: 1,
            pod: "x-1".to_owned(),
        }
    }

    fn cell<'a>(roles: &'a [Role; 2], expect: Expect, engine: bool, failure: Option<Failure>) -> Cell<'a> {
        Cell {
            attempt: Attempt {
                client: &roles[0],
                server: &roles[1],
                port: (Protocol::Tcp, 80),
            },
            expected: Expected {
                expect,
                why: "a fact".into(),
            },
            engine: Said {
                open: engine,
                why: String::new(),
            },
            kernel: Outcome {
                failure,
                attempts: 1,
                took_us: 1,
            },
        }
    }

    #[test]
    fn each_disagreement_has_a_name() {
        let roles = [role("a"), role("b")];
        let lost = Some(Failure::Timeout);
        let cases = [
            (Expect::Must, true, None, None),
            (Expect::Must, true, lost, Some(Wrong::Cut)),
            (Expect::MustNot, false, lost, None),
            (Expect::MustNot, false, None, Some(Wrong::Leak)),
            (Expect::Fallback, true, None, None),
            (Expect::Fallback, true, lost, Some(Wrong::EngineSaysOpen)),
            (Expect::Open, false, None, Some(Wrong::EngineSaysClosed)),
            (
                Expect::MustNot,
                false,
                Some(Failure::Refused),
                Some(Wrong::Refused),
            ),
        ];
        for (expect, engine, failure, wrong) in cases {
            assert_eq!(
                cell(&roles, expect, engine, failure).wrong(),
                wrong,
                "{expect:?} {engine} {failure:?}"
            );
        }
    }

    #[test]
    fn a_table_lists_what_disagrees_and_counts_the_rest() {
        let roles = [role("a"), role("b")];
        let table = Table {
            title: "Restricted".to_owned(),
            cells: vec![
                cell(&roles, Expect::Must, true, None),
                cell(&roles, Expect::MustNot, false, None),
            ],
            second_looks: 0,
        };
        assert!(
            table.summary().contains("forbidden 0 closed, 1 leaked"),
            "{}",
            table.summary()
        );
        let listed = table.disagreements();
        assert!(
            listed.contains("Leak: 1 cells") && listed.contains("b/x-1"),
            "{listed}"
        );
    }
}

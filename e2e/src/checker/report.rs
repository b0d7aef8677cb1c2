//! What a judgement found.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::evaluate::Direction;
use super::history::Writer;

/// How a connection was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// Some mix of recent versions denies it.
    Mixed,
    /// The stored revision denies it.
    Stored,
}

/// Connections of one pod that one write took away though they were required.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Loss {
    pub revision: u64,
    pub at: Duration,
    pub level: Level,
    /// The write.
    pub write: String,
    pub writer: Writer,
    pub namespace: Arc<str>,
    pub pod: Arc<str>,
    pub direction: Direction,
    /// One of the connections, and why it is required.
    pub example: String,
    pub connections: usize,
    /// When the last of them was allowed again by the stored revision.
    pub regained: Option<(u64, Duration)>,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            revision,
            at,
            level,
            write,
            writer,
            namespace,
            pod,
            direction,
            example,
            connections,
            ..
        } = self;
        write!(
            f,
            "revision {revision} at {:.3} s, {level:?}: {write} by {writer} takes {connections} required {direction:?} connection(s) from {namespace}/{pod}, among them {example}",
            at.as_secs_f64()
        )
    }
}

/// Another rule that was broken.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Breach {
    /// Name of the invariant, for example `S5`.
    pub invariant: &'static str,
    pub revision: u64,
    pub what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at revision {}: {}",
            self.invariant, self.revision, self.what
        )
    }
}

/// How much was judged.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct Counts {
    pub revisions: u64,
    /// Revisions that the operator wrote.
    pub ours: u64,
    pub namespaces: u64,
    /// Judgements of one pod in one direction.
    pub sides: u64,
    /// Connections evaluated one by one; sides that are open as a whole need none.
    pub connections: u64,
    /// Mixes of versions that those judgements stand for, capped per side.
    pub mixes: u64,
    /// Forbidden pairs and exactness probes.
    pub forbidden: u64,
}

/// The result of judging a history.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Report {
    pub counts: Counts,
    pub losses: Vec<Loss>,
    pub breaches: Vec<Breach>,
}

impl Report {
    /// Losses that the operator caused.
    pub fn violations(&self) -> impl Iterator<Item = &Loss> {
        self.losses.iter().filter(|loss| loss.writer == Writer::Ours)
    }

    /// Losses that somebody else caused.
    pub fn foreign(&self) -> impl Iterator<Item = &Loss> {
        self.losses.iter().filter(|loss| loss.writer != Writer::Ours)
    }

    /// Fails with every violation named.
    pub fn assert_clean(&self) -> anyhow::Result<()> {
        let all: Vec<String> = self
            .violations()
            .map(ToString::to_string)
            .chain(self.breaches.iter().map(ToString::to_string))
            .collect();
        let shown = all.iter().take(20).cloned().collect::<Vec<_>>().join("\n  ");
        anyhow::ensure!(all.is_empty(), "{} violation(s) in {self}\n  {shown}", all.len());
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = &self.counts;
        write!(
            f,
            "{} revisions ({} ours) of {} namespaces: {} sides, {} connections, {} mixes, {} forbidden probes; {} violations, {} losses by others, {} breaches",
            c.revisions,
            c.ours,
            c.namespaces,
            c.sides,
            c.connections,
            c.mixes,
            c.forbidden,
            self.violations().count(),
            self.foreign().count(),
            self.breaches.len()
        )
    }
}

//! Findings that somebody has looked at and accepted, with the reason.

use super::{Check, Finding};

/// An accepted kind of finding on one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    /// What is accepted.
    pub check: Check,
    /// Why.
    pub reason: Box<str>,
}

/// Why a text is no list of suppressions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSuppression {
    /// There is no check with this id.
    #[error("{0:?} is not the id of a check")]
    UnknownCheck(Box<str>),
    /// A suppression without a reason.
    #[error("{0} is suppressed without a reason; write \"{0}: why\"")]
    NoReason(&'static str),
}

impl Suppression {
    /// Reads entries of the form `id: reason`, one a line or separated by semicolons, as an annotation holds them.
    ///
    /// # Errors
    /// [`BadSuppression`] for an unknown id or a missing reason, so that a slip does not hide a finding.
    pub fn parse(text: &str) -> Result<Vec<Self>, BadSuppression> {
        let entries = text.split(['\n', ';']).map(str::trim);
        entries
            .filter(|entry| !entry.is_empty())
            .map(Self::entry)
            .collect()
    }

    fn entry(entry: &str) -> Result<Self, BadSuppression> {
        let (id, reason) = entry.split_once(':').unwrap_or((entry, ""));
        let check = Check::by_id(id.trim()).ok_or_else(|| BadSuppression::UnknownCheck(id.trim().into()))?;
        match reason.trim() {
            "" => Err(BadSuppression::NoReason(check.id())),
            reason => Ok(Self {
                check,
                reason: reason.into(),
            }),
        }
    }
}

/// Findings about one object, parted into those that stand and those that are accepted, with the reason. The
/// suppressions that accept nothing come last: they have outlived what they were for.
pub fn suppress(
    findings: Vec<Finding>,
    suppressions: &[Suppression],
) -> (Vec<Finding>, Vec<(Finding, &str)>, Vec<&Suppression>) {
    let mut stand = Vec::new();
    let mut accepted = Vec::new();
    for finding in findings {
        match suppressions.iter().find(|s| s.check == finding.check) {
            Some(suppression) => accepted.push((finding, &*suppression.reason)),
            None => stand.push(finding),
        }
    }
    let idle = |s: &&Suppression| !accepted.iter().any(|(finding, _)| finding.check == s.check);
    let idle = suppressions.iter().filter(idle).collect();
    (stand, accepted, idle)
}

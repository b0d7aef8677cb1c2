//! The file that lists namespaces which may be without a restrictive set for a while.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use bulkhead_api::yaml;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;

/// The exceptions in force.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exceptions {
    #[serde(default)]
    exceptions: Vec<Exception>,
}

/// One namespace that may be without a set.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exception {
    /// The namespace.
    pub namespace: String,
    /// Why.
    pub reason: String,
    /// The last day (UTC) on which the exception holds.
    pub expires: Date,
}

impl Exception {
    /// Whether it still holds.
    pub fn holds(&self, now: Timestamp) -> bool {
        now.to_zoned(TimeZone::UTC).date() <= self.expires
    }
}

impl Exceptions {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path);
        let text = text.with_context(|| format!("cannot read exceptions from {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("exceptions in {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let read: Self = yaml::from_str(text)?;
        for (at, exception) in read.exceptions.iter().enumerate() {
            let name = &exception.namespace;
            if exception.reason.trim().is_empty() {
                bail!("exceptions[{at}].reason: {name} needs one");
            }
            if read
                .exceptions
                .iter()
                .take(at)
                .any(|other| other.namespace == *name)
            {
                bail!("exceptions[{at}].namespace: {name} is listed twice");
            }
        }
        Ok(read)
    }

    /// The exception for a namespace, expired or not.
    pub fn of(&self, namespace: &str) -> Option<&Exception> {
        self.exceptions.iter().find(|e| e.namespace == namespace)
    }

    /// Namespaces that are listed and were not judged.
    pub fn unused<'a>(&'a self, judged: &'a [Arc<str>]) -> impl Iterator<Item = &'a str> {
        let names = self.exceptions.iter().map(|e| e.namespace.as_str());
        names.filter(|name| !judged.iter().any(|j| **j == **name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_holds_through_its_last_day() {
        let text = "exceptions: [{namespace: openshift-x, reason: set in review, expires: 2026-11-30}]";
        let read = Exceptions::parse(text).unwrap();
        let exception = read.of("openshift-x").unwrap();
        assert!(exception.holds("2026-11-30T23:59:59Z".parse().unwrap()));
        assert!(!exception.holds("2026-12-01T00:00:00Z".parse().unwrap()));
        assert!(read.of("openshift-y").is_none());
    }

    #[test]
    fn an_exception_needs_a_reason_and_an_expiry_and_nothing_else() {
        for bad in [
            "exceptions: [{namespace: a, expires: 2026-11-30}]",
            "exceptions: [{namespace: a, reason: ' ', expires: 2026-11-30}]",
            "exceptions: [{namespace: a, reason: x}]",
            "exceptions: [{namespace: a, reason: x, expires: soon}]",
            "exceptions: [{namespace: a, reason: x, expires: 2026-11-30, check: all}]",
            "exceptions: [{namespace: a, reason: x, expires: 2026-11-30}, {namespace: a, reason: y, expires: 2026-11-30}]",
            "exeptions: []",
        ] {
            assert!(Exceptions::parse(bad).is_err(), "{bad}");
        }
    }
}

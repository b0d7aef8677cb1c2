//! S5 and the part of S3 that a history shows: where the operator writes, what it never touches, and that
//! an allow-all goes only under a stored intent.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::history::{Event, Kind, Writer};
use super::modes::Settings;
use super::operands::Bundles;
use super::report::Breach;

/// Name with which every policy that opens a namespace begins.
const ALLOW_ALL: &str = "bulkhead-allow-all";

/// What must be remembered to judge writes.
#[derive(Default)]
pub struct Ownership {
    /// Namespaces that are or were system namespaces: those that were are cleaned up.
    system: BTreeSet<Arc<str>>,
    /// Bundles, which have namespaces of their own.
    bundles: Bundles,
}

impl Ownership {
    /// Takes in what was there at the beginning.
    pub fn base(&mut self, event: &Event) {
        self.bundles.apply(event);
    }

    /// Judges one event against the settings in force before it.
    pub fn breaches(&mut self, event: &Event, settings: &Settings) -> Vec<Breach> {
        let namespace = match event.id.kind {
            Kind::Namespace => &event.id.name,
            _ => &event.id.namespace,
        };
        self.bundles.apply(event);
        if settings.is_system(namespace) {
            self.system.insert(Arc::clone(namespace));
        }
        if event.writer != Writer::Ours {
            return Vec::new();
        }
        let breach = |invariant, what: String| Breach {
            invariant,
            revision: event.revision,
            what,
        };
        let mut found = Vec::new();
        let forbidden = &**namespace == "default" || namespace.starts_with("kube-");
        if matches!(event.id.kind, Kind::Namespace | Kind::Policy)
            && (forbidden || !(self.system.contains(namespace) || self.is_bundles(event, namespace)))
        {
            found.push(breach(
                "S5",
                format!("the operator wrote {} outside system namespaces", event.id),
            ));
        }
        let gone = event.content.is_gone();
        match event.id.kind {
            Kind::Pod => found.push(breach("S5", format!("the operator wrote {}", event.id))),
            Kind::Namespace if gone => found.push(breach("S5", format!("the operator deleted {}", event.id))),
            Kind::Policy if event.owned_before == Some(false) => {
                found.push(breach(
                    "S5",
                    format!("the operator touched {}, which somebody else made", event.id),
                ));
            }
            Kind::Policy
                if gone
                    && event.id.name.starts_with(ALLOW_ALL)
                    && !settings.status(namespace).intent
                    && !self.bundles.named(namespace) =>
            {
                found.push(breach(
                    "S3",
                    format!("the operator deleted {} without a stored intent", event.id),
                ));
            }
            _ => {}
        }
        found
    }

    /// Whether a bundle names the namespace, or did.
    pub fn is_of_bundle(&self, namespace: &str) -> bool {
        self.bundles.named(namespace)
    }

    /// Whether a bundle that writes policies names the namespace now.
    pub fn is_taken_by_bundle(&self, namespace: &str) -> bool {
        self.bundles.take(namespace)
    }

    /// A bundle may write policies where it is named, and nothing else.
    fn is_bundles(&self, event: &Event, namespace: &str) -> bool {
        event.id.kind == Kind::Policy && self.bundles.named(namespace)
    }
}

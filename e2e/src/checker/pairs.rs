//! Hand-written pairs: connections that must, or must not, be possible in a Restricted cluster.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use serde::Deserialize;

use super::labels::{Labels, Pattern, Selector};
use super::needs::{Home, Need, Span, Who};
use super::objects::Protocol;

/// One pair.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// Who connects.
    pub from: Side,
    /// To which pods.
    pub to: Side,
    /// Port of the pod.
    pub port: u16,
    /// Protocol.
    #[serde(default)]
    pub protocol: Protocol,
    /// What Restricted mode must make of it.
    pub expect: Expectation,
    /// The fact that says so.
    pub fact: String,
}

/// What Restricted mode must make of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Expectation {
    Required,
    Forbidden,
}

/// One side of a pair: `host`, `outside`, or pods.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Side {
    /// `host` or `outside`.
    Word(Word),
    /// Pods of a namespace.
    Pods {
        /// The namespace.
        namespace: String,
        /// Labels of the pods; `*` stands for any value.
        #[serde(default)]
        labels: BTreeMap<String, String>,
    },
}

/// Sides that are no pods.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Word {
    Host,
    Outside,
}

impl Side {
    /// The side as a need speaks of it.
    pub fn who(&self) -> Who {
        match self {
            Self::Word(Word::Host) => Who::Host,
            Self::Word(Word::Outside) => Who::External,
            Self::Pods { namespace, labels } => Who::Pods {
                home: Home::Named(vec![namespace.clone()]),
                patterns: labels
                    .iter()
                    .map(|(k, v)| (k.clone(), vec![Pattern::new(v)]))
                    .collect(),
                selector: Selector::default(),
            },
        }
    }

    fn is(&self, own: &str, own_labels: &Labels) -> bool {
        let party = super::needs::Party::Pod {
            namespace: own,
            labels: own_labels,
        };
        self.who().includes(own, &party)
    }
}

/// All pairs.
#[derive(Clone, Debug, Default)]
pub struct Pairs(pub Vec<Pair>);

impl Pairs {
    /// Reads the pairs file.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        Ok(Self(
            bulkhead_api::yaml::from_str(&text).with_context(|| path.display().to_string())?,
        ))
    }

    /// Pairs that end at pods with these labels.
    pub fn ending_at(
        &self,
        namespace: &str,
        labels: &Labels,
        expect: Expectation,
    ) -> impl Iterator<Item = &Pair> {
        self.0
            .iter()
            .filter(move |p| p.expect == expect && p.to.is(namespace, labels))
    }

    /// Required connections of pods with these labels, as servers and as clients.
    pub fn needs(&self, namespace: &str, labels: &Labels) -> (Vec<Need>, Vec<Need>) {
        let need = |pair: &Pair, who| Need {
            who,
            ports: vec![Span::one(pair.protocol, pair.port)],
            why: Arc::from(format!("pair: {}", pair.fact)),
        };
        let required = || self.0.iter().filter(|p| p.expect == Expectation::Required);
        let served = required().filter(|p| p.to.is(namespace, labels));
        let dialled = required().filter(|p| p.from.is(namespace, labels));
        (
            served.map(|p| need(p, p.from.who())).collect(),
            dialled.map(|p| need(p, p.to.who())).collect(),
        )
    }
}

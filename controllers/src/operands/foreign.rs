//! Objects of somebody else under a name that a bundle uses.

use std::sync::Arc;

use bulkhead_api::vocabulary::FIELD_MANAGER;
use bulkhead_policy::{
    Direction, Flows, Labels, Operator, Pod, Policy, Requirement, Rule, Selector, Window, World,
};
use serde_json::Value;

use super::Bundle;

/// What an object of somebody else means for the bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// With it in place of ours, pods may do exactly what the bundle says.
    ProvidedBy {
        /// Who keeps it.
        owner: String,
    },
    /// They may not.
    Conflict {
        /// Who keeps it.
        owner: String,
        /// What it takes away from the bundle and what it adds, in words.
        difference: String,
        /// It takes something away, so isolating more pods would deny what the bundle allows.
        takes: bool,
    },
}

/// Labels by which operators mark what is theirs.
pub const OWNER_LABELS: [&str; 4] = [
    "cert-manager.operator.openshift.io/owned-by",
    "istiocsr.operator.openshift.io/owned-by",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/part-of",
];

/// Who keeps an object, for people: by an owner's label, else by who last wrote its spec.
pub fn owner(object: &Value) -> String {
    let labels = object.pointer("/metadata/labels");
    let label = |key: &str| labels?.get(key)?.as_str().filter(|v| !v.is_empty());
    let labelled = OWNER_LABELS.iter().find_map(|key| label(key));
    labelled
        .or_else(|| spec_managers(object).last())
        .unwrap_or("unknown")
        .to_owned()
}

/// Whether an object is ours: its recorded uid, or our manager on its spec. A label proves nothing.
pub fn is_ours(object: &Value, recorded_uids: &[&str]) -> bool {
    let uid = object
        .pointer("/metadata/uid")
        .and_then(Value::as_str)
        .unwrap_or_default();
    (!uid.is_empty() && recorded_uids.contains(&uid)) || spec_managers(object).any(|m| m == FIELD_MANAGER)
}

fn spec_managers(object: &Value) -> impl Iterator<Item = &str> {
    let fields = object
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array);
    let wrote_spec = |entry: &&Value| entry.pointer("/fieldsV1/f:spec").is_some();
    fields
        .into_iter()
        .flatten()
        .filter(wrote_spec)
        .filter_map(|entry| entry.get("manager")?.as_str())
}

/// Judges an object that stands in the place of a policy of the bundle: over every pod of the bundle, running
/// or to come, what the bundle allows with and without the exchange.
pub fn judge(
    world: &World,
    bundle: &Bundle,
    foreign: &Arc<Policy>,
    owner: String,
    running: &[Pod],
) -> Foreign {
    let ours: Vec<Arc<Policy>> = bundle.policies().cloned().collect();
    let replaced = |p: &&Arc<Policy>| p.namespace == foreign.namespace && p.name == foreign.name;
    let mut exchanged: Vec<Arc<Policy>> = ours.iter().filter(|p| !replaced(p)).cloned().collect();
    exchanged.push(foreign.clone());
    let after = Window::settled(exchanged);
    let (mut lost, mut added) = (Vec::new(), Vec::new());
    for pod in pods(bundle, foreign, running) {
        for direction in Direction::ALL {
            let rules = rules(&ours, &pod, direction);
            let (missing, excess) = match &rules {
                Some(rules) => (
                    after.missing(world, &pod, direction, rules),
                    after
                        .excess(world, &pod, direction, rules)
                        .into_iter()
                        .map(|(_, flows)| flows)
                        .collect(),
                ),
                // The bundle does not isolate this pod in this direction, the other object may.
                None => (
                    after.missing(world, &pod, direction, &[Rule::default()]),
                    Vec::new(),
                ),
            };
            describe(&mut lost, &pod, direction, &missing);
            describe(&mut added, &pod, direction, &excess);
        }
    }
    if lost.is_empty() && added.is_empty() {
        return Foreign::ProvidedBy { owner };
    }
    let takes = !lost.is_empty();
    let part =
        |title: &str, all: Vec<String>| (!all.is_empty()).then(|| format!("{title}: {}", all.join("; ")));
    let parts = [part("does not allow", lost), part("also allows", added)];
    Foreign::Conflict {
        owner,
        difference: parts.into_iter().flatten().collect::<Vec<_>>().join(". "),
        takes,
    }
}

/// What the bundle lets a pod do; `None` when it does not isolate it.
fn rules(policies: &[Arc<Policy>], pod: &Pod, direction: Direction) -> Option<Vec<Rule>> {
    let mut isolating = policies
        .iter()
        .filter(|p| bulkhead_policy::verdict::isolates(p, direction, pod))
        .filter_map(|p| p.rules(direction))
        .peekable();
    isolating.peek()?;
    Some(isolating.flatten().cloned().collect())
}

/// Running pods, one of each component, one of each selector, and one that nobody knows.
fn pods(bundle: &Bundle, foreign: &Policy, running: &[Pod]) -> Vec<Pod> {
    let namespace = &foreign.namespace;
    let here = running.iter().filter(|p| p.namespace == *namespace).cloned();
    let selectors = bundle
        .policies()
        .filter(|p| p.namespace == *namespace)
        .map(|p| &p.pods);
    let examples = selectors
        .chain([&foreign.pods])
        .flat_map(examples)
        .chain([Labels::default()]);
    let imagined =
        examples.map(|labels| Pod::new(namespace.clone(), format!("any pod with {labels}"), labels));
    let mut all: Vec<Pod> = here.chain(imagined).collect();
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    all.dedup_by(|a, b| a.labels == b.labels && a.state == b.state && a.ports == b.ports);
    all
}

/// Label sets that a selector matches: one for each value that it lists, of one key at a time.
pub fn examples(selector: &Selector) -> Vec<Labels> {
    let mut all = vec![Labels::default()];
    for Requirement {
        key,
        operator,
        values,
    } in selector.requirements()
    {
        let choices: Vec<&str> = match operator {
            Operator::In => values.iter().map(|v| &**v).collect(),
            Operator::Exists => vec!["any"],
            Operator::NotIn | Operator::DoesNotExist => continue,
        };
        all = all
            .iter()
            .flat_map(|l| choices.iter().map(|v| l.with(&key, v)))
            .collect();
    }
    all
}

fn describe(into: &mut Vec<String>, pod: &Pod, direction: Direction, flows: &[Flows]) {
    const MOST: usize = 4;
    for flow in flows.iter().take(MOST) {
        let text = format!("{direction} {flow} for pods {{{}}}", pod.labels);
        if into.len() < MOST && !into.contains(&text) {
            into.push(text);
        }
    }
}

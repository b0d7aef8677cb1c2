//! User entries: further egress for a component, written in the operand's own object or in ours.

use std::collections::BTreeSet;

use bulkhead_api::operand::{EgressEntry, Operand};
use bulkhead_policy::{Direction, Rule, v1};
use serde_json::Value;

use super::Warning;

/// A component that may be given egress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configurable {
    /// Its canonical name.
    pub name: &'static str,
    /// Other spellings that are accepted.
    pub aliases: &'static [&'static str],
}

/// The components of an operand that may be given egress.
pub const fn configurable(operand: Operand) -> &'static [Configurable] {
    const fn plain(name: &'static str) -> Configurable {
        Configurable { name, aliases: &[] }
    }
    match operand {
        Operand::ZeroTrustWorkloadIdentityManager => {
            const {
                &[
                    plain("SpireServer"),
                    plain("SpireAgent"),
                    plain("OIDCDiscoveryProvider"),
                ]
            }
        }
        Operand::CertManager => &[Configurable {
            name: "CoreController",
            aliases: &["CertManager"],
        }],
        Operand::ExternalSecrets => &[
            Configurable {
                name: "ExternalSecretsCoreController",
                aliases: &["CoreController"],
            },
            Configurable {
                name: "BitwardenSDKServer",
                aliases: &[],
            },
        ],
    }
}

/// An entry that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name of its policy.
    pub name: String,
    /// Canonical name of its component.
    pub component: &'static str,
    /// What it opens.
    pub rules: Vec<Rule>,
}

/// More entries than this are not accepted, as in the operand's own object.
const MOST: usize = 50;

/// Reads entries. Those that cannot become a policy are left out with a warning each; the others stand.
/// `reserved` are the names that the bundle itself may use.
pub fn accept(
    operand: Operand,
    raw: &[Value],
    prefix: &str,
    reserved: &[&str],
    warnings: &mut Vec<Warning>,
) -> Vec<Entry> {
    let mut names = BTreeSet::new();
    let mut accepted = Vec::new();
    for (at, value) in raw.iter().enumerate() {
        let entry = if at < MOST {
            read(operand, value, prefix, warnings)
        } else {
            Err(format!(
                "only {MOST} entries are accepted; merge rules into fewer entries"
            ))
        };
        let entry = entry.and_then(|entry| {
            if reserved.contains(&entry.name.as_str()) {
                return Err(format!(
                    "{} is the name of a policy of the bundle; choose another",
                    entry.name
                ));
            }
            if !names.insert(entry.name.clone()) {
                return Err(format!(
                    "another entry has the name {} already; rename one",
                    entry.name
                ));
            }
            Ok(entry)
        });
        match entry {
            Ok(entry) => accepted.push(entry),
            Err(problem) => warnings.push(Warning::new(
                "InvalidEntry",
                format!("networkPolicies[{at}]: {problem}"),
            )),
        }
    }
    accepted
}

/// Entries of our own object in the form of the operand's.
pub fn raw(entries: &[EgressEntry]) -> impl Iterator<Item = Value> {
    entries
        .iter()
        .filter_map(|entry| serde_json::to_value(entry).ok())
}

fn read(operand: Operand, value: &Value, prefix: &str, warnings: &mut Vec<Warning>) -> Result<Entry, String> {
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    let name = format!("{prefix}{}", text("name"));
    if text("name").is_empty() || !is_subdomain(&name) {
        return Err(format!(
            "name {name:?} is no DNS subdomain of at most 253 characters; use lower case letters, digits, - and ."
        ));
    }
    let component = component(operand, text("componentName"))?;
    types(value.get("policyTypes"), &name, warnings)?;
    if value.get("ingress").is_some_and(|i| !i.is_null()) {
        return Err("ingress is not accepted, entries open egress alone; remove it".to_owned());
    }
    let rules = rules(value.get("egress"))?;
    if rules.is_empty() {
        warnings.push(Warning::new(
            "NoEffect",
            format!(
                "entry {name} has an empty egress list and opens nothing; add a rule or remove the entry"
            ),
        ));
    }
    Ok(Entry {
        name,
        component,
        rules,
    })
}

fn component(operand: Operand, text: &str) -> Result<&'static str, String> {
    let known = configurable(operand);
    let found = known.iter().find(|c| c.name == text || c.aliases.contains(&text));
    found.map(|c| c.name).ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|c| c.name).collect();
        format!("componentName {text:?} is unknown; use {}", names.join(" or "))
    })
}

/// The proposal's example lists policyTypes although the field does not exist.
fn types(value: Option<&Value>, name: &str, warnings: &mut Vec<Warning>) -> Result<(), String> {
    match value {
        None | Some(Value::Null) => Ok(()),
        Some(types) if *types == serde_json::json!(["Egress"]) => {
            let message =
                format!("entry {name} lists policyTypes, which has no meaning there; remove the field");
            warnings.push(Warning::new("IgnoredField", message));
            Ok(())
        }
        Some(_) => Err("policyTypes other than Egress are not accepted; remove the field".to_owned()),
    }
}

/// An absent list is refused: some read it as "allow all", the API reads it as "allow nothing".
fn rules(value: Option<&Value>) -> Result<Vec<Rule>, String> {
    let Some(list) = value.filter(|v| !v.is_null()) else {
        return Err("egress is required; write a list of rules, or [{}] to open everything".to_owned());
    };
    let egress = serde_json::from_value(list.clone()).map_err(|e| format!("egress: {e}"))?;
    let spec = v1::NetworkPolicySpec {
        egress: Some(egress),
        ..v1::NetworkPolicySpec::default()
    };
    v1::parse_rules(Direction::Egress, &spec).map_err(|e| e.to_string())
}

/// A DNS-1123 subdomain, which object names must be.
fn is_subdomain(name: &str) -> bool {
    let alphanumeric = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let label = |label: &str| {
        let bytes = label.as_bytes();
        bytes.iter().all(|c| alphanumeric(*c) || *c == b'-')
            && bytes.first().is_some_and(|c| alphanumeric(*c))
            && bytes.last().is_some_and(|c| alphanumeric(*c))
    };
    name.len() <= 253 && name.split('.').all(label)
}

//! The components of an operand: their pods and whether they are there.

use std::sync::Arc;

use bulkhead_api::operand::ComponentState;
use bulkhead_policy::{Operator, Requirement, Selector};

/// A component and the label of its pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Its name.
    pub name: &'static str,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// The label key that tells its pods apart.
    pub key: &'static str,
    /// The value of the label.
    pub value: &'static str,
    /// Whether it is there.
    pub state: ComponentState,
}

impl Component {
    /// Its pods.
    pub fn pods(&self) -> Selector {
        Selector::from([(self.key, self.value)])
    }
}

/// Pods whose label has one of these values.
pub fn any_of(key: &str, values: &[&str]) -> Selector {
    let requirement = Requirement {
        key: key.into(),
        operator: Operator::In,
        values: values.iter().map(|v| (*v).into()).collect(),
    };
    Selector::new([], [requirement])
}

//! What others do in a history.

use std::sync::Arc;

use bulkhead_api::{
    isolation::{Hold, HoldState, ModeRemoval},
    namespace::{Adoption, Override, UndeclaredPods},
    switch::{
        ManagementState, Mode, RestrictedOptions, SystemNamespaces, SystemNetworkPolicyConfig,
        UnrestrictedOptions,
    },
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::Value;

use super::Run;
use crate::{
    observe::Moment,
    plan::tests::{
        checker::Switch,
        model::{Model, Stored, foreign},
        operator::wall,
        shapes::{PodModel, SetModel},
    },
};

/// What others do.
#[derive(Clone, Debug)]
pub enum Act {
    Mode(Switch),
    Hold(bool),
    Unmanaged(bool),
    Override(Option<(Mode, Option<u64>)>),
    Adoption(Option<Adoption>),
    Undeclared(UndeclaredPods),
    Pods(Vec<PodModel>),
    Set(Box<SetModel>),
    Upgrading(bool),
    /// Somebody else's policy appears or changes.
    Foreign(usize, Value),
    /// It goes.
    ForeignGone(usize),
    /// The n-th object of ours is deleted by somebody else.
    DeleteOurs(usize),
    /// The n-th object of ours is changed in place by somebody else.
    EditOurs(usize, Value),
    DeleteAll,
    Crash,
    LoseAnswer,
}

impl Act {
    pub(super) fn is_foreign_write(&self) -> bool {
        matches!(
            self,
            Self::Foreign(..)
                | Self::ForeignGone(_)
                | Self::DeleteOurs(_)
                | Self::EditOurs(..)
                | Self::DeleteAll
        )
    }
}

impl Run {
    /// Somebody acts.
    pub fn act(&mut self, act: &Act) {
        match act {
            Act::Crash => self.crash(),
            Act::LoseAnswer => {}
            Act::Foreign(n, spec) => {
                let name = format!("shipped-{n}");
                let body = foreign(&name, spec);
                self.foreign_write(&name, |m| {
                    let _ = m
                        .create(&body, "somebody")
                        .or_else(|_| m.apply(&body, "somebody"));
                });
            }
            Act::ForeignGone(n) => {
                let name = format!("shipped-{n}");
                self.foreign_write(&name, |m| {
                    let _ = m.delete(&name, None, None);
                });
            }
            Act::DeleteOurs(n) => {
                if let Some(name) = self.nth_of_ours(*n) {
                    self.foreign_write(&name, |m| {
                        let _ = m.delete(&name, None, None);
                    });
                }
            }
            Act::EditOurs(n, spec) => {
                if let Some(name) = self.nth_of_ours(*n) {
                    let mut body = foreign(&name, spec);
                    body["metadata"]["labels"] =
                        self.model.policies[&*name].object["metadata"]["labels"].clone();
                    self.foreign_write(&name, |m| {
                        let _ = m.apply(&body, "somebody");
                    });
                }
            }
            Act::DeleteAll => {
                let all: Vec<Arc<str>> = self.model.policies.keys().cloned().collect();
                for name in all {
                    self.foreign_write(&name, |m| {
                        let _ = m.delete(&name, None, None);
                    });
                }
            }
            other => self.administer(other),
        }
        self.look(&format!("{act:?}"));
    }

    fn nth_of_ours(&self, n: usize) -> Option<String> {
        let ours: Vec<_> = self.model.policies.iter().filter(|(_, p)| p.ours()).collect();
        let (name, _) = ours.get(n.checked_rem(ours.len())?)?;
        Some(name.to_string())
    }

    fn foreign_write(&mut self, name: &str, write: impl FnOnce(&mut Model)) {
        if self.model.policies.get(name).is_some_and(Stored::ours) {
            self.checker.forget_older_set();
        }
        write(&mut self.model);
        self.checker.asked_at = self.model.events.len();
        let (stored, now) = (self.model.policies.get(name).cloned(), self.now);
        self.checker
            .excuse(now, |c| c.stored(&name.into(), stored.as_ref(), now));
    }

    fn administer(&mut self, act: &Act) {
        let (model, now) = (&mut self.model, self.now);
        match act {
            Act::Mode(switch) => {
                self.switch = *switch;
                model.edit_isolation(|spec| {
                    spec.system_network_policy = switch.mode.map(|mode| config_of(mode, *switch));
                    spec.mode_removal = switch.removal_meant.then_some(ModeRemoval::PlatformDecides);
                });
            }
            Act::Hold(on) => model.edit_isolation(|spec| {
                spec.hold = on.then(|| Hold {
                    state: HoldState::Open,
                    reason: "test".into(),
                });
            }),
            Act::Unmanaged(on) => {
                model.edit_system(|spec| spec.management_state = on.then_some(ManagementState::Unmanaged));
            }
            Act::Override(chosen) => model.edit_system(|spec| {
                spec.mode_override = chosen.map(|(mode, seconds)| Override {
                    mode,
                    reason: "test".into(),
                    expiration_time: seconds.map(|s| Time(wall(now + Moment::from_secs(s)))),
                });
            }),
            Act::Adoption(adoption) => model.edit_system(|spec| spec.adoption = *adoption),
            Act::Undeclared(policy) => model.edit_system(|spec| spec.undeclared_pods = Some(*policy)),
            Act::Pods(pods) => model.set_pods(pods.clone()),
            Act::Set(set) => model.set_set((**set).clone()),
            Act::Upgrading(on) => model.set_upgrading(*on),
            _ => {}
        }
    }
}

fn config_of(mode: Mode, switch: Switch) -> SystemNetworkPolicyConfig {
    let restricted = (mode == Mode::Restricted).then_some(RestrictedOptions {
        isolation: Some(switch.isolation),
    });
    let unrestricted = (mode == Mode::Unrestricted).then_some(UnrestrictedOptions {
        new_namespaces: Some(switch.new_namespaces),
    });
    SystemNetworkPolicyConfig {
        system_namespaces: Some(SystemNamespaces {
            mode,
            restricted,
            unrestricted,
        }),
    }
}

//! What the controller says about itself and the cluster: summary, conditions, verdicts, events, metrics.

use std::sync::Arc;

use bulkhead_api::{
    conditions::{Said, stored},
    namespace::SystemNamespaceStatus,
    server::SystemNetworkPolicyStatus,
    vocabulary::condition,
};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType};

use super::{Controller, Done};
use crate::{
    apply::{ApplyError, Outcome},
    observe::{
        Moment,
        world::{Change, Item, Kind, Sync, SystemObject},
    },
    plan::{Input, Plan, View},
    report::{
        cluster::{self, Overview, Summary},
        events::{self, Note},
        metrics::{ModeState, PolicyChange},
    },
};

/// The most characters that an event may carry (the API refuses more than 1024).
const LONGEST_NOTE: usize = 1000;

impl Controller {
    /// Remembers what the plan says of a namespace, and lets the summary follow if that changed.
    pub(super) fn summarise(&mut self, name: &Arc<str>, plan: &Plan, recorded: bool, now: Moment) {
        let effective = self
            .world
            .namespaces
            .get(name)
            .and_then(|n| n.system.as_ref()?.status.effective_mode);
        let control = self.controls.entry(name.clone()).or_default();
        let summary = Summary::new(plan, effective, recorded, control.is_failing(now));
        if control.summary == Some(summary) {
            return;
        }
        match (summary.state.is_transition(), control.moving_since) {
            (true, None) => control.moving_since = Some(now),
            (false, Some(since)) => {
                self.metrics
                    .transition_seconds
                    .observe(now.saturating_sub(since).as_secs_f64());
                control.moving_since = None;
            }
            _ => {}
        }
        control.summary = Some(summary);
        // The operator's own namespace closes when all others have.
        self.dirty.insert(self.settings.own_namespace.clone());
        self.report_soon();
    }

    /// Writes what is to be said about the cluster, if it is not what is stored.
    pub(super) fn report(&mut self) {
        self.show_metrics();
        self.show_state();
        if self.cluster.config.unmanaged && self.cluster.config.stored {
            // An unmanaged carrier stops all writes but the word that they are stopped.
            tracing::debug!("unmanaged");
        }
        let wall = jiff::Timestamp::now();
        let overview = Overview {
            namespaces: self
                .controls
                .iter()
                .filter_map(|(n, c)| Some((&**n, c.summary?)))
                .collect(),
            config: self.cluster.config.clone(),
            frozen: self.frozen_text(),
            sequence: self.cluster.sequence,
            pending: self.dirty.len(),
            unknown_release: self.is_unknown_release(),
        };
        let (mut namespaces, seen) = (overview.namespaces.clone(), self.world.carriers.isolation.clone());
        namespaces.sort_by_key(|(name, _)| *name);
        let overview = Overview {
            namespaces,
            ..overview
        };
        let network = self.world.carriers.network.as_ref().map(|n| n.conditions.clone());
        let network =
            network.map(|standing| (cluster::network_conditions(&overview, &standing, wall), standing));
        let network = network.filter(|(wanted, standing)| !same_conditions(wanted, standing));
        let operator = self.world.cluster_operator.clone();
        let operator = operator.and_then(|standing| {
            let wanted = cluster::cluster_operator(&overview, &standing, wall);
            (!same_conditions(&wanted, &standing)).then_some(wanted)
        });
        let status = seen
            .as_ref()
            .map(|seen| cluster::isolation_status(&overview, seen, wall));
        let verdicts = self.verdicts(wall);
        if self.world.carriers.isolation.is_none() {
            let message = "Bulkhead is a Dev Preview: it may change or break, and is not for production";
            let note = Note {
                warning: false,
                reason: "DevPreview",
                message: message.into(),
            };
            let own = self.settings.own_namespace.clone();
            self.publish(
                &note,
                "SystemIsolation",
                bulkhead_api::vocabulary::CLUSTER,
                &own,
                None,
            );
        }
        let served = *self.world.sync(Kind::SystemIsolations) == Sync::Synced;
        let writer = self.writer.clone();
        self.reporting = true;
        self.workers.spawn(async move {
            let result = async {
                match (seen, status) {
                    (None, _) if served => writer.create_isolation().await?,
                    (Some(seen), Some(status)) if status != seen.status => {
                        race_is_fine(writer.isolation_status(&seen, &status).await)?;
                    }
                    _ => {}
                }
                if let Some((conditions, _)) = network {
                    writer.network_conditions(&conditions).await?;
                }
                if let Some(conditions) = operator {
                    writer.cluster_operator(&conditions).await?;
                }
                for (namespace, name, version, status) in verdicts {
                    race_is_fine(
                        writer
                            .declaration_status(&namespace, &name, &version, &status)
                            .await,
                    )?;
                }
                Ok(())
            };
            Done::Report(result.await)
        });
    }

    /// The cluster is moving to a release that is newer than the catalog.
    fn is_unknown_release(&self) -> bool {
        let minor = |text: &str| -> Option<(u32, u32)> {
            let mut parts = text.split(['.', '-']);
            Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
        };
        let known = minor(&self.settings.catalog.header.release);
        let target = self.world.release.target.as_deref().and_then(minor);
        matches!((target, known), (Some(target), Some(known)) if target > known)
    }

    pub(super) fn frozen_text(&self) -> Option<String> {
        let unknown: Vec<String> = Kind::SWITCH
            .into_iter()
            .filter(|kind| !self.world.is_known(*kind))
            .map(|kind| match self.world.sync(kind) {
                Sync::Failing(error) => format!("{} cannot be read: {error}", kind.plural()),
                Sync::Unserved => format!("{} is not served: install its definition", kind.plural()),
                _ => format!("{} has not been read yet", kind.plural()),
            })
            .collect();
        match (self.world.removing.is_empty(), unknown.is_empty()) {
            (false, _) => Some("a definition of ours is being removed; install it again to go on".into()),
            (true, false) => Some(unknown.join("; ")),
            (true, true) => None,
        }
    }

    /// Verdicts on declarations that are not stored yet: namespace, name, version, status.
    fn verdicts(
        &mut self,
        wall: jiff::Timestamp,
    ) -> Vec<(String, String, String, SystemNetworkPolicyStatus)> {
        let mut all = Vec::new();
        let declaring: Vec<Arc<str>> = self
            .world
            .namespaces
            .iter()
            .filter(|(_, n)| !n.declarations.is_empty())
            .map(|(n, _)| n.clone())
            .collect();
        for namespace in declaring {
            let system = self.is_system(&namespace);
            let verdicts = self
                .declarations
                .composition(&namespace, &self.world, &self.settings)
                .verdicts
                .clone();
            let Some(state) = self.world.namespaces.get_mut(&namespace) else {
                continue;
            };
            let unmatched = unmatched_selectors(state);
            for (name, generation, verdict) in verdicts {
                let Some(declaration) = state.declarations.get_mut(&name) else {
                    continue;
                };
                if declaration.generation != generation {
                    continue;
                }
                if verdict.is_ok() {
                    declaration.last_good = declaration.spec.clone().ok();
                }
                let said = match (&verdict, system) {
                    (_, false) => Said::new(
                        condition::ACCEPTED,
                        false,
                        "NotASystemNamespace",
                        "has no effect outside system namespaces; adopt the namespace with kubectl bulkhead adopt",
                    ),
                    (Err(rejection), _) => Said::new(
                        condition::ACCEPTED,
                        false,
                        rejection.reason,
                        rejection.message.clone(),
                    ),
                    (Ok(()), _) => match unmatched.get(&name) {
                        Some(servers) => Said::new(
                            condition::ACCEPTED,
                            true,
                            "SelectsNothing",
                            format!("no pod or pod template matches {}", servers.join(", ")),
                        ),
                        None => Said::new(condition::ACCEPTED, true, "AsExpected", ""),
                    },
                };
                let conditions = stored(&[said], &declaration.status.conditions, generation, wall);
                let status = SystemNetworkPolicyStatus {
                    observed_generation: Some(generation),
                    conditions,
                };
                if status != declaration.status {
                    let version = declaration.resource_version.clone();
                    all.push((namespace.to_string(), name.to_string(), version, status));
                }
            }
        }
        all
    }

    fn is_system(&self, name: &str) -> bool {
        use bulkhead_api::{namespace::Adoption, vocabulary as names};
        let spec = self
            .world
            .namespaces
            .get(name)
            .and_then(|n| n.system.as_ref()?.spec.as_ref().ok());
        !names::is_forbidden_name(name)
            && match spec.and_then(|s| s.adoption) {
                Some(adoption) => adoption == Adoption::Adopted,
                None => names::is_system_name(name) || self.settings.catalog.entries.contains_key(name),
            }
    }

    /// Publishes events on what a new status changes.
    pub(super) fn tell(&self, name: &Arc<str>, system: &SystemObject, new: &SystemNamespaceStatus) {
        for note in events::notes(&system.status, new) {
            tracing::info!(namespace = %name, reason = note.reason, message = note.message, "transition");
            self.publish(&note, "SystemNamespace", name, name, Some(system.uid.clone()));
        }
    }

    /// Says an hour ahead that an override ends and the namespace will close; once per generation.
    pub(super) fn announce_expiry(&mut self, name: &Arc<str>, input: &Input) {
        let (Some(system), Some(at)) = (&input.system, View::new(input).closes_soon()) else {
            return;
        };
        let control = self.controls.entry(name.clone()).or_default();
        if control.announced.replace(system.generation) == Some(system.generation) {
            return;
        }
        let message = format!("the override ends at {at}; the namespace closes then");
        let note = Note {
            warning: true,
            reason: "OverrideExpiring",
            message,
        };
        self.publish(&note, "SystemNamespace", name, name, Some(system.uid.clone()));
    }

    /// Publishes one event about a cluster-scoped object of ours. Losing it is no failure.
    ///
    /// It goes to a system namespace: events of cluster-scoped objects would go to `default`, where nothing of
    /// ours is ever written.
    pub(super) fn publish(&self, note: &Note, kind: &str, name: &str, namespace: &str, uid: Option<String>) {
        let event = Event {
            type_: if note.warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason: note.reason.into(),
            note: Some(note.message.chars().take(LONGEST_NOTE).collect()),
            action: "Reconcile".into(),
            secondary: None,
        };
        let reference = ObjectReference {
            api_version: Some(format!("{}/{}", bulkhead_api::GROUP, bulkhead_api::VERSION)),
            kind: Some(kind.into()),
            name: Some(name.into()),
            namespace: Some(namespace.into()),
            uid,
            ..ObjectReference::default()
        };
        let (recorder, limit) = (self.recorder.clone(), self.settings.request_limit);
        tokio::spawn(async move {
            let published = tokio::time::timeout(limit, recorder.publish(&event, &reference)).await;
            if let Ok(Err(error)) = published {
                tracing::debug!(%error, "event was not published");
            }
        });
    }

    pub(super) fn count_own(&self, namespace: &Arc<str>, outcome: &Outcome) {
        for written in &outcome.policies {
            let label = PolicyChange {
                namespace: namespace.to_string(),
                operation: written.operation,
                actor: "self",
            };
            self.metrics.policy_changes.get_or_create(&label).inc();
        }
    }

    /// A standby shows nothing that only the leader knows.
    pub(super) fn clear_metrics(&self) {
        self.metrics.namespaces.clear();
        self.metrics.coverage.clear();
        self.metrics.operand_active.clear();
        self.metrics.operand_policies.clear();
        self.metrics.operand_warnings.clear();
        self.metrics.blocked.set(0);
        self.metrics.managed_policies.set(0);
    }

    /// Counts what others do to policies of ours: a write by us moves a version that we wait for.
    pub(super) fn count_external(&self, kind: Kind, change: &Change) {
        if kind != Kind::NetworkPolicies || self.claim.is_none() {
            return;
        }
        let (key, operation) = match change {
            Change::Gone(key) => (key, "delete"),
            Change::Put(key, Item::Policy(_)) => (key, "apply"),
            _ => return,
        };
        let Some(state) = self.world.namespaces.get(&key.0) else {
            return;
        };
        let Some(known) = state.policies.get(&key.1).filter(|p| p.managed_by_us) else {
            return;
        };
        let same = matches!(change, Change::Put(_, Item::Policy(p)) if p.policy == known.policy && p.uid == known.uid);
        let control = self.controls.get(&key.0);
        let busy = control.is_some_and(|c| c.busy || c.written.contains_key(&key.1))
            || (known.is_of_bundle() && self.operands.expects(key));
        if !same && !busy {
            let label = PolicyChange {
                namespace: key.0.to_string(),
                operation,
                actor: "external",
            };
            self.metrics.policy_changes.get_or_create(&label).inc();
            self.metrics.drift_repairs.inc();
        }
    }

    fn show_metrics(&self) {
        self.metrics.namespaces.clear();
        let mut blocked = 0;
        for summary in self
            .controls
            .values()
            .filter_map(|c| c.summary)
            .filter(Summary::counts)
        {
            let mode = summary
                .effective
                .map_or_else(|| "Unknown".into(), |m| format!("{m:?}"));
            let label = ModeState {
                mode,
                state: summary.state.as_str().into(),
            };
            self.metrics.namespaces.get_or_create(&label).inc();
            blocked += i64::from(summary.blocked);
        }
        self.metrics.blocked.set(blocked);
        let ours = self
            .world
            .namespaces
            .values()
            .flat_map(|n| n.policies.values())
            .filter(|p| p.managed_by_us);
        self.metrics
            .managed_policies
            .set(i64::try_from(ours.count()).unwrap_or(i64::MAX));
        self.show_coverage();
    }

    fn show_coverage(&self) {
        use bulkhead_policy::{Direction, PodState};
        self.metrics.coverage.clear();
        for name in self.controls.keys() {
            let Some(state) = self.world.namespaces.get(name) else {
                continue;
            };
            for direction in Direction::ALL {
                let policed = |shape: &crate::observe::world::PodShape| {
                    state
                        .policies
                        .values()
                        .any(|p| p.policy.rules(direction).is_some() && p.policy.pods.matches(&shape.labels))
                };
                let (mut all, mut isolated) = (0u32, 0u32);
                for shape in state
                    .pods
                    .values()
                    .filter(|s| s.state == PodState::Networked && !s.terminating)
                {
                    all += 1;
                    isolated += u32::from(policed(shape));
                }
                let label = crate::report::metrics::NamespaceDirection {
                    namespace: name.to_string(),
                    direction: direction.as_str(),
                };
                let ratio = if all == 0 {
                    1.0
                } else {
                    f64::from(isolated) / f64::from(all)
                };
                self.metrics.coverage.get_or_create(&label).set(ratio);
            }
        }
    }
}

/// Somebody else wrote first: the next report is made from what they wrote.
fn race_is_fine(result: Result<(), ApplyError>) -> Result<(), ApplyError> {
    match result {
        Err(error) if error.is_race() => Ok(()),
        result => result,
    }
}

fn same_conditions(wanted: &[serde_json::Value], standing: &[serde_json::Value]) -> bool {
    wanted.len() == standing.len() && wanted.iter().all(|c| standing.contains(c))
}

/// Servers of each declaration that match nothing today.
fn unmatched_selectors(
    state: &crate::observe::world::NamespaceState,
) -> std::collections::HashMap<Arc<str>, Vec<String>> {
    let shapes: Vec<_> = state.shapes().chain(state.templates.values()).collect();
    let mut unmatched = std::collections::HashMap::new();
    for (name, declaration) in &state.declarations {
        let Ok(spec) = &declaration.spec else { continue };
        let idle: Vec<String> = spec
            .servers
            .iter()
            .filter(|s| {
                let selector = crate::decide::selector::pods(&s.pod_selector);
                !shapes.iter().any(|shape| selector.matches(&shape.labels))
            })
            .map(|s| s.name.clone())
            .collect();
        if !idle.is_empty() {
            unmatched.insert(name.clone(), idle);
        }
    }
    unmatched
}

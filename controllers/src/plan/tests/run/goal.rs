//! Whether a history ended where it should.

use bulkhead_api::{namespace::EffectiveMode, switch::Isolation};

use super::{Run, SETTLE};
use crate::plan::{
    self, State,
    tests::{
        brute::{self, Side},
        checker::Goal,
        judge,
        model::Stored,
        shapes::pod_labels,
    },
};

impl Run {
    /// After faults have stopped: the goal is reached and stays, without a further write.
    pub fn assert_reached(&mut self) {
        self.converge();
        // Every override of these histories has expired by then.
        self.now += SETTLE * 10;
        let plan = self.converge();
        let writes = self.model.writes;
        self.now += SETTLE * 3;
        self.converge();
        assert_eq!(self.model.writes, writes, "writes in a settled state");
        self.look("rest");
        self.assert_goal(&plan);
    }

    fn assert_goal(&self, plan: &plan::Plan) {
        let goal = self.checker.goal();
        let status = self
            .model
            .system
            .as_ref()
            .map(|s| s.status.clone())
            .unwrap_or_default();
        if goal != Goal::Untouched {
            assert_eq!(
                status.intent, None,
                "an intent is left over: {plan:?}, {:?}",
                self.journal
            );
        }
        let at = format!(
            "goal {goal:?}, state {:?}, journal {:?}",
            plan.state, self.journal
        );
        match goal {
            Goal::Untouched => {}
            Goal::Theirs => assert!(
                !self.model.policies.values().any(Stored::ours) || self.may_block(plan),
                "{at}"
            ),
            Goal::Open => {
                for look in 0..pod_labels().len() {
                    for side in Side::ALL {
                        assert_eq!(self.checker.denied_live(look, side), 0, "still closed: {at}");
                    }
                }
                assert_eq!(status.effective_mode, Some(EffectiveMode::Unrestricted), "{at}");
            }
            Goal::Closed(isolation) => self.assert_closed(isolation, plan, status.effective_mode, &at),
        }
    }

    fn assert_closed(
        &self,
        isolation: Isolation,
        plan: &plan::Plan,
        effective: Option<EffectiveMode>,
        at: &str,
    ) {
        if self.may_block(plan) {
            return;
        }
        if !self.model.set.declares() {
            return;
        }
        let closed = matches!(
            effective,
            Some(EffectiveMode::Restricted | EffectiveMode::PartlyRestricted)
        );
        assert!(closed, "{effective:?}: {at}");
        if isolation == Isolation::Ingress {
            judge::assert_no_egress(&self.model);
        }
        for look in 0..pod_labels().len() {
            let declared = self.checker.declared(look, Side::Ingress);
            let allowed = self.checker.allowed_by_ours(look, Side::Ingress);
            if self.host_selectable {
                assert_eq!(allowed & !declared, 0, "{:?}: {at}", pod_labels()[look]);
            }
            assert_eq!(allowed & declared, declared, "{at}");
            if isolation == Isolation::IngressAndEgress {
                let declared = self.checker.declared(look, Side::Egress);
                assert_eq!(
                    self.checker.allowed_by_ours(look, Side::Egress) & declared,
                    declared,
                    "{at}"
                );
            }
        }
    }

    /// Whether there is a reason to be blocked, for a plan that says it is.
    fn may_block(&self, plan: &plan::Plan) -> bool {
        if plan.state == State::Updating {
            let wide = self.model.upgrading || self.model.pods.iter().any(|p| !p.terminating);
            return wide;
        }
        if plan.state != State::Blocked {
            return false;
        }
        let stray = self
            .model
            .pods
            .iter()
            .any(|p| !p.terminating && !self.is_declared(p.look));
        let foreign = self.model.policies.values().any(|p| !p.ours());
        assert!(
            stray || foreign || self.model.set.unreadable,
            "blocked for no reason: {:?}",
            plan.blockers
        );
        true
    }

    fn is_declared(&self, look: usize) -> bool {
        let entry = self.model.set.entry.as_ref();
        entry.is_some_and(|e| {
            e.servers.iter().any(|s| {
                let selector =
                    serde_json::from_value(serde_json::to_value(&s.pod_selector).unwrap()).unwrap();
                brute::selects(&selector, &pod_labels()[look])
            })
        })
    }
}

//! What becomes of the requests of the operator.

use bulkhead_api::vocabulary as names;

use super::{Act, Run};
use crate::{
    observe::Moment,
    plan::tests::{brute::Side, executor::Request, model::Refused, shapes::pod_labels},
};

/// What may come between two requests of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    Nothing,
    Crash,
    /// The next request gets no answer.
    Lost,
}

impl Run {
    /// Before each request of the operator; `writing`: after the live reads that it rests on.
    pub fn between(&mut self, writing: bool) -> Between {
        self.now += Moment::from_millis(10);
        match &mut self.injected {
            Some((0, _)) => {
                let (_, act) = self.injected.take().unwrap();
                match act {
                    Act::Crash => return Between::Crash,
                    Act::LoseAnswer => return Between::Lost,
                    act => {
                        self.raced |= writing && act.is_foreign_write();
                        self.act(&act);
                    }
                }
            }
            Some((count, _)) => *count -= 1,
            None => {}
        }
        Between::Nothing
    }

    /// A request of ours reaches the API server.
    pub fn send(&mut self, request: &Request) -> Result<(), Refused> {
        let name = request.name();
        let looks = 0..pod_labels().len();
        let before: Vec<_> = looks
            .flat_map(|l| Side::ALL.map(|s| (l, s, self.checker.denied_live(l, s))))
            .collect();
        let writes = self.model.writes;
        match request {
            Request::Create(body) => self.model.create(body, names::FIELD_MANAGER).map(drop),
            Request::Apply(body) => self.model.apply(body, names::FIELD_MANAGER).map(drop),
            Request::Delete { name, uid, version } => self.model.delete(name, Some(uid), Some(version)),
        }?;
        if self.model.writes == writes {
            return Ok(());
        }
        let verb = match request {
            Request::Create(_) => "create",
            Request::Apply(_) => "apply",
            Request::Delete { .. } => "delete",
        };
        self.journal.push(format!("{verb} {name}"));
        self.times.push(self.now);
        let (stored, now) = (self.model.policies.get(&name), self.now);
        if self.raced {
            self.checker.excuse(now, |c| c.stored(&name, stored, now));
        } else {
            self.checker.stored(&name, stored, now);
        }
        if self.assert_harmless && !self.raced {
            let present: Vec<usize> = self.model.pods.iter().map(|p| p.look).collect();
            for (look, side, before) in before {
                let lost = self.checker.denied_live(look, side) & !before;
                assert!(
                    lost == 0 || !present.contains(&look),
                    "{verb} {name} is planned as harmless and takes {} from {:?} {side:?}",
                    self.checker.universe.names(lost),
                    pod_labels()[look]
                );
            }
        }
        self.look(&format!("{verb} {name}"));
        Ok(())
    }

    pub(super) fn arrive(&mut self, at: usize) {
        if self.limbo.is_empty() {
            return;
        }
        let (request, epoch) = self.limbo.remove(at % self.limbo.len());
        // A creation has no precondition that it could carry; those never outlive the claim.
        if matches!(request, Request::Create(_)) {
            return;
        }
        let status = self.model.system.as_ref().map(|s| s.status.clone());
        let over = epoch.is_some_and(|e| status.is_none_or(|s| s.intent.is_none() || s.epoch != e));
        let writes = self.model.writes;
        let result = self.send(&request);
        assert!(
            !over || result.is_err() || self.model.writes == writes,
            "a contract of an older epoch landed: {request:?}"
        );
    }
}

//! What is required at every stored revision, and whether every mix of recent versions allows it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bulkhead_api::{
    namespace::{Adoption, EffectiveMode, Lineage},
    switch::{Isolation, ManagementState, Mode, NewNamespaces},
};

use super::{
    brute::{self, LabelMap, Mask, Say, Seen, Side, Universe},
    model::{Model, Stored},
    operator::wall,
    shapes::{SetModel, pod_labels},
};
use crate::observe::Moment;

/// What the design asks of the namespace, decided here a second time and in other words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    Open,
    Closed(Isolation),
    /// As if we did not exist: shipped policies in force, our own gone or never there.
    Theirs,
    /// Whatever it is now, we do not touch it.
    Untouched,
}

/// The mode that the carriers say, defaults filled in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switch {
    pub mode: Option<Mode>,
    pub isolation: Isolation,
    pub new_namespaces: NewNamespaces,
    pub removal_meant: bool,
}

#[derive(Clone, Debug)]
struct Version {
    since: Moment,
    ours: bool,
    /// `None`: absent.
    says: Option<Arc<Vec<[Say; 2]>>>,
}

/// A required set of connections; with `only_ours` as far as mixes count in which nobody else isolates.
#[derive(Clone, Copy, Debug)]
struct Required {
    only_ours: bool,
    mask: Mask,
}

impl Required {
    fn and(self, other: Self) -> Self {
        Self {
            only_ours: self.only_ours || other.only_ours,
            mask: self.mask & other.mask,
        }
    }
}

/// Declared connections by look and side.
type Table = Arc<Vec<[Mask; 2]>>;

#[derive(Clone, Debug)]
struct Asked {
    goal: Goal,
    set: SetModel,
    declared: Table,
}

impl Asked {
    fn new(universe: &Universe, goal: Goal, set: &SetModel) -> Self {
        let look = |look: &LabelMap| Side::ALL.map(|side| set.declared(universe, look, side));
        Self {
            goal,
            set: set.clone(),
            declared: Arc::new(pod_labels().iter().map(look).collect()),
        }
    }
}

/// Judges the stored revisions of the subject namespace.
#[derive(Clone, Debug)]
pub struct Checker {
    pub universe: Universe,
    settle: Moment,
    looks: Vec<LabelMap>,
    timeline: BTreeMap<Arc<str>, Vec<Version>>,
    known: HashMap<String, Arc<Vec<[Say; 2]>>>,
    excused: HashMap<(usize, Side, bool), Mask>,
    /// What was acknowledged, then everything that was asked for since.
    asked: Vec<Asked>,
    /// What an older set declares, while live pods or an upgrade still need it.
    kept: Option<Table>,
    record_lost: bool,
    /// The first event that a leader must have seen before its word counts.
    pub asked_at: usize,
    confirmed: bool,
}

impl Checker {
    pub fn new(universe: Universe, settle: Moment, model: &Model) -> Self {
        let mut checker = Self {
            asked: vec![Asked::new(&universe, Goal::Theirs, &model.set)],
            universe,
            settle,
            looks: pod_labels(),
            timeline: BTreeMap::new(),
            known: HashMap::new(),
            excused: HashMap::new(),
            kept: None,
            record_lost: false,
            asked_at: 0,
            confirmed: false,
        };
        for (name, stored) in &model.policies {
            checker.stored(name, Some(stored), Moment::ZERO);
        }
        checker
    }

    /// Records a stored revision of a policy.
    pub fn stored(&mut self, name: &Arc<str>, stored: Option<&Stored>, now: Moment) {
        let says = stored.map(|s| self.says(s));
        let versions = self.timeline.entry(name.clone()).or_insert_with(|| {
            vec![Version {
                since: Moment::ZERO,
                ours: false,
                says: None,
            }]
        });
        versions.push(Version {
            since: now,
            ours: stored.map_or(versions[versions.len() - 1].ours, Stored::ours),
            says,
        });
    }

    fn says(&mut self, stored: &Stored) -> Arc<Vec<[Say; 2]>> {
        let (universe, looks) = (&self.universe, &self.looks);
        let text = stored.object["spec"].to_string();
        let read = || {
            let spec = stored.spec();
            let each = |look: &LabelMap| Side::ALL.map(|side| universe.says(&spec, look, side));
            Arc::new(looks.iter().map(each).collect())
        };
        self.known.entry(text).or_insert_with(read).clone()
    }

    fn seen(&self, look: usize, side: Side, window: Option<Moment>) -> Vec<Seen> {
        let of = |version: &Version| version.says.as_ref().map(|s| s[look][side as usize]);
        let object = |versions: &Vec<Version>| {
            let last = versions.len() - 1;
            let visible = |at: &usize| {
                *at == last || window.is_some_and(|now| versions[at + 1].since + self.settle > now)
            };
            Seen {
                ours: versions[last].ours,
                versions: (0..versions.len())
                    .filter(visible)
                    .map(|at| of(&versions[at]))
                    .collect(),
            }
        };
        self.timeline.values().map(object).collect()
    }

    /// What some mix of recent versions denies.
    pub fn lost(&self, look: usize, side: Side, only_ours: bool, now: Moment) -> Mask {
        brute::denied(
            &self.seen(look, side, Some(now)),
            only_ours,
            self.universe.everything(),
        )
    }

    /// What the newest versions deny.
    pub fn denied_live(&self, look: usize, side: Side) -> Mask {
        brute::denied(&self.seen(look, side, None), false, self.universe.everything())
    }

    /// What the newest versions of ours allow.
    pub fn allowed_by_ours(&self, look: usize, side: Side) -> Mask {
        let ours = self.seen(look, side, None).into_iter().filter(|s| s.ours);
        ours.fold(0, |mask, object| {
            mask | object.versions.last().unwrap().unwrap_or_default().allows
        })
    }

    fn everything_lost(&self, now: Moment) -> HashMap<(usize, Side, bool), Mask> {
        let mut all = HashMap::new();
        for look in 0..self.looks.len() {
            for side in Side::ALL {
                for only_ours in [false, true] {
                    all.insert((look, side, only_ours), self.lost(look, side, only_ours, now));
                }
            }
        }
        all
    }

    /// Somebody else writes: what that takes away is not our doing for as long as it stays away.
    pub fn excuse(&mut self, now: Moment, write: impl FnOnce(&mut Self)) {
        let before = self.everything_lost(now);
        write(self);
        for (key, after) in self.everything_lost(now) {
            *self.excused.entry(key).or_default() |= after & !before[&key];
        }
    }

    /// Somebody deleted or changed objects of ours: with them goes the only record of what an older set allowed.
    pub fn forget_older_set(&mut self) {
        (self.kept, self.record_lost, self.confirmed) = (None, true, false);
    }

    /// The cluster asks for something else, or for the same with another set.
    pub fn ask(&mut self, goal: Goal, model: &Model) {
        let last = self.asked.last().unwrap();
        let same_set = last.set.entry == model.set.entry && last.set.served_by == model.set.served_by;
        let closed = |goal| matches!(goal, Goal::Closed(_));
        let set_lost = closed(goal) && closed(last.goal) && !model.set.declares();
        if (last.goal == goal && same_set) || set_lost {
            // Where the declaration is gone the last set stays in force.
            return;
        }
        if !closed(goal) {
            // A set that changes while the namespace is open, or on its way there, is no change under restriction.
            self.forget_older_set();
        }
        let acknowledged = &self.asked[0];
        if !same_set && !self.record_lost && closed(acknowledged.goal) && closed(goal) {
            self.kept = self.kept.take().or_else(|| Some(acknowledged.declared.clone()));
        }
        self.asked.push(Asked::new(&self.universe, goal, &model.set));
        self.asked_at = model.events.len();
        self.confirmed = false;
    }

    /// A leader that saw all that was asked for has nothing left to do and says so.
    pub fn confirm(&mut self, effective: Option<EffectiveMode>) {
        let goal = self.asked.last().unwrap().goal;
        self.confirmed |= matches!(
            (goal, effective),
            (Goal::Open, Some(EffectiveMode::Unrestricted))
                | (
                    Goal::Closed(_),
                    Some(EffectiveMode::Restricted | EffectiveMode::PartlyRestricted)
                )
                | (Goal::Theirs, Some(EffectiveMode::Preserved) | None)
        );
    }

    /// An acknowledged goal is the only one from here on, once everybody has seen what it rests on.
    fn acknowledge(&mut self, now: Moment) {
        let goal = self.asked.last().unwrap().goal;
        let open = |c: &Self| {
            c.timeline.values().any(|v| {
                let last = &v[v.len() - 1];
                let all = Say {
                    isolates: true,
                    allows: c.universe.everything(),
                };
                last.ours
                    && last.since + c.settle <= now
                    && last
                        .says
                        .as_ref()
                        .is_some_and(|s| s.iter().all(|l| *l == [all, all]))
            })
        };
        let settled = |c: &Self| {
            let mut last = c.timeline.values().map(|v| &v[v.len() - 1]);
            last.all(|v| !v.ours || v.since + c.settle <= now)
        };
        let seen_by_all = match goal {
            Goal::Open => open(self),
            Goal::Theirs => settled(self),
            Goal::Closed(_) | Goal::Untouched => true,
        };
        if self.confirmed && seen_by_all {
            self.asked.drain(..self.asked.len() - 1);
            (self.kept, self.record_lost) = (None, false);
        }
    }

    fn required(&self, look: usize, side: Side) -> Required {
        let everything = self.universe.everything();
        let one = |asked: &Asked| {
            let declared = asked.declared[look][side as usize];
            let (only_ours, mask) = match (asked.goal, side) {
                (Goal::Open, _) => (false, everything),
                (Goal::Closed(_), Side::Ingress)
                | (Goal::Closed(Isolation::IngressAndEgress), Side::Egress) => (false, declared),
                (Goal::Closed(Isolation::Ingress), Side::Egress) | (Goal::Theirs | Goal::Untouched, _) => {
                    (true, everything)
                }
            };
            Required { only_ours, mask }
        };
        let all = self.asked.iter().map(one);
        all.reduce(Required::and).unwrap()
    }

    /// An upgrade is under way, or a live pod declares a port that only the old set opens to it.
    fn still_needed(&self, model: &Model, old: &Table) -> bool {
        let new = &self.asked[self.asked.len() - 1].declared;
        let opens = |table: &Table, look: usize, port: u16| {
            let on_port = self.universe.mask(|_, p| p == ("TCP", i32::from(port)));
            table[look][Side::Ingress as usize] & on_port != 0
        };
        let pods = model.pods.iter().filter(|p| !p.terminating);
        let mut ports = pods.flat_map(|p| p.ports.iter().map(move |port| (p.look, *port)));
        model.upgrading || ports.any(|(look, port)| opens(old, look, port) && !opens(new, look, port))
    }

    /// What the newest declaration lets a pod do.
    pub fn declared(&self, look: usize, side: Side) -> Mask {
        self.asked[self.asked.len() - 1].declared[look][side as usize]
    }

    /// What is asked for now.
    pub fn goal(&self) -> Goal {
        self.asked[self.asked.len() - 1].goal
    }

    /// Every required connection that some mix denies and that nobody else took away, in words.
    pub fn violations(&mut self, model: &Model, now: Moment) -> Vec<String> {
        self.acknowledge(now);
        if self
            .kept
            .as_ref()
            .is_some_and(|old| !self.still_needed(model, old))
        {
            self.kept = None;
        }
        let lost = self.everything_lost(now);
        for (key, mask) in &mut self.excused {
            *mask &= lost[key];
        }
        let mut looks: Vec<usize> = model.pods.iter().map(|p| p.look).collect();
        looks.sort_unstable();
        looks.dedup();
        let mut found = Vec::new();
        for look in looks {
            for side in Side::ALL {
                let mut all = vec![self.required(look, side)];
                if let (Side::Ingress, Some(old)) = (side, &self.kept) {
                    all.push(Required {
                        only_ours: false,
                        mask: old[look][side as usize],
                    });
                }
                for Required { only_ours, mask } in all {
                    let key = (look, side, only_ours);
                    let excused = self.excused.get(&key).copied().unwrap_or_default();
                    let bad = mask & lost[&key] & !excused;
                    if bad != 0 {
                        found.push(format!(
                            "{:?} {side:?} loses {} (asked: {:?})",
                            self.looks[look],
                            self.universe.names(bad),
                            self.asked.iter().map(|a| a.goal).collect::<Vec<_>>(),
                        ));
                    }
                }
            }
        }
        found
    }
}

/// The decision table of the design, in other words than the product's.
pub fn goal(model: &Model, switch: Switch, now: Moment) -> Goal {
    let spec = model.system.as_ref().and_then(|s| s.spec.as_ref().ok());
    let isolation = model.carriers.isolation.as_ref().unwrap();
    let ours = || model.policies.values().filter(|p| p.ours());
    let role = |p: &Stored, role: &str| {
        p.object["metadata"]["labels"]["network.operator.openshift.io/policy-role"] == role
    };
    let allow_all = ours().any(|p| role(p, "allow-all"));
    let foreign = model.policies.values().any(|p| !p.ours());
    let adopted = spec.is_none_or(|s| s.adoption != Some(Adoption::NotAdopted));
    if isolation.spec.as_ref().unwrap().hold.is_some() && (adopted || ours().next().is_some()) {
        return Goal::Open;
    }
    if spec.is_some_and(|s| s.management_state == Some(ManagementState::Unmanaged)) {
        return Goal::Untouched;
    }
    if !adopted {
        return Goal::Theirs;
    }
    let overridden = spec.and_then(|s| s.mode_override.as_ref()).filter(|o| {
        let generation = model.system.as_ref().unwrap().generation;
        o.expiration_time.as_ref().is_none_or(|t| t.0 > wall(now))
            && model.system.as_ref().unwrap().status.expired_generation != Some(generation)
    });
    let last = model.system.as_ref().and_then(|s| s.status.lineage);
    let declared = model.set.entry.as_ref().map(|e| e.lineage);
    let new = declared.filter(|_| model.set.declares()).or(last).or(declared) == Some(Lineage::New);
    let stays_closed = new && switch.new_namespaces == NewNamespaces::Restricted && overridden.is_none();
    let mode = overridden.map(|o| o.mode).or(switch.mode);
    match mode {
        Some(Mode::Restricted) => closed(model, switch, allow_all),
        _ if stays_closed => closed(model, switch, allow_all),
        Some(Mode::Unrestricted) => Goal::Open,
        None if !foreign => Goal::Open,
        None => omitted(model, switch),
    }
}

/// No mode, and somebody ships policies.
fn omitted(model: &Model, switch: Switch) -> Goal {
    let ours = model.policies.values().any(Stored::ours);
    let status = model
        .system
        .as_ref()
        .map(|s| s.status.clone())
        .unwrap_or_default();
    let closed = matches!(
        status.effective_mode,
        Some(EffectiveMode::Restricted | EffectiveMode::PartlyRestricted)
    );
    let going_back = switch.removal_meant || closed || status.desired_mode == Some(EffectiveMode::Preserved);
    let taken_away = status.desired_mode == Some(EffectiveMode::Unrestricted) && !switch.removal_meant;
    if (ours && going_back) || (!ours && !taken_away) {
        Goal::Theirs
    } else {
        Goal::Open
    }
}

fn closed(model: &Model, switch: Switch, allow_all: bool) -> Goal {
    let denies = model.policies.contains_key("bulkhead-default-deny");
    if model.set.declares() || (denies && !allow_all) {
        Goal::Closed(switch.isolation)
    } else {
        Goal::Open
    }
}

//! Which versions of each policy were seen, and since when: the clock of the settle time.

use std::{collections::BTreeMap, sync::Arc};

use bulkhead_policy::{Policy, Window, effect::Versions};

use super::{Moment, ObservedPolicy};

/// The versions of the policies of one namespace, by name.
#[derive(Clone, Debug, Default)]
pub struct History {
    policies: BTreeMap<Arc<str>, Track>,
}

#[derive(Clone, Debug)]
struct Track {
    /// Uid and meaning now; `None`: absent.
    current: Option<(Arc<str>, Arc<Policy>)>,
    /// Since when it is like that.
    since: Moment,
    /// What it was before, and until when.
    past: Vec<(Option<Arc<Policy>>, Moment)>,
}

impl History {
    /// Records the live state of a policy (`None`: absent). Only a changed uid or spec restarts its clock.
    pub fn observe(&mut self, name: &Arc<str>, seen: Option<&ObservedPolicy>, now: Moment) {
        let current = seen.map(|p| (p.uid.clone(), p.policy.clone()));
        match self.policies.get_mut(name) {
            Some(track) if track.current == current => {}
            Some(track) => {
                let before = track.current.take().map(|(_, policy)| policy);
                track.past.push((before, now));
                (track.current, track.since) = (current, now);
            }
            None if current.is_none() => {}
            None => {
                let past = vec![(None, now)];
                self.policies.insert(
                    name.clone(),
                    Track {
                        current,
                        since: now,
                        past,
                    },
                );
            }
        }
    }

    /// Records a complete live read: policies that it does not contain are absent.
    pub fn observe_all<'a>(&mut self, live: impl IntoIterator<Item = &'a ObservedPolicy>, now: Moment) {
        let live: BTreeMap<&Arc<str>, &ObservedPolicy> = live.into_iter().map(|p| (&p.name, p)).collect();
        let gone: Vec<Arc<str>> = self
            .policies
            .keys()
            .filter(|name| !live.contains_key(name))
            .cloned()
            .collect();
        for name in gone {
            self.observe(&name, None, now);
        }
        for (name, policy) in live {
            self.observe(name, Some(policy), now);
        }
    }

    /// Starts every clock anew, as a new leader must: what was before may still be seen, absence included.
    pub fn restart(&mut self, now: Moment) {
        for track in self.policies.values_mut() {
            track.since = now;
            track.past.push((None, now));
        }
    }

    /// Drops versions that nobody can see any more, and tracks of policies that are long gone.
    pub fn forget(&mut self, now: Moment, settle: Moment) {
        self.policies.retain(|_, track| {
            track.past.retain(|(_, until)| *until + settle > now);
            // Nearly all have no past most of the time, and there are many.
            track.past.shrink_to_fit();
            track.current.is_some() || track.since + settle > now
        });
    }

    /// When the policy is settled, absence included; `None` for one that was never seen.
    pub fn settled_at(&self, name: &str, settle: Moment) -> Option<Moment> {
        Some(self.policies.get(name)?.since + settle)
    }

    /// When the last of all clocks runs out.
    pub fn all_settled_at(&self, settle: Moment) -> Option<Moment> {
        self.policies.values().map(|track| track.since + settle).max()
    }

    /// Every policy with the versions at which it may still be seen, the live one last.
    pub fn window(&self, now: Moment, settle: Moment) -> Vec<(Arc<str>, Versions)> {
        let versions = |track: &Track| {
            let past = track
                .past
                .iter()
                .filter(|(_, until)| *until + settle > now)
                .map(|(version, _)| version.clone());
            past.chain([track.current.as_ref().map(|(_, policy)| policy.clone())])
                .collect()
        };
        self.policies
            .iter()
            .map(|(name, track)| (name.clone(), versions(track)))
            .collect()
    }
}

/// The engine's window of named versions.
pub fn engine_window(named: &[(Arc<str>, Versions)]) -> Window {
    named.iter().map(|(_, versions)| versions.clone()).collect()
}

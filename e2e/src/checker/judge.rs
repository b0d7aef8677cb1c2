//! Walks a history and judges S1 at every revision.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Rules;
use super::evaluate::Direction;
use super::exact;
use super::history::{Event, History, Kind, Writer};
use super::modes::{Mode, Play, Settings};
use super::ownership::Ownership;
use super::report::{Breach, Level, Loss, Report};
use super::side::{self, Cache, Connection, Side};
use super::world::{DIRECTIONS, Reach, World};

/// A judged side: namespace, pod, direction.
type SideKey = (Arc<str>, Arc<str>, Direction);

/// A connection that is not allowed, how, and the index of its loss. Without one, it was not lost: policies
/// of others denied it when it began to be required.
struct Broken {
    level: Level,
    loss: Option<usize>,
}

/// What is missing of a side, by connection: how, why it is required, and whether only others isolate.
type Lost = HashMap<Connection, (Level, Arc<str>, bool)>;

/// The state of a judgement.
pub struct Judge<'a> {
    rules: &'a Rules,
    /// The objects as of the last event.
    pub world: World,
    /// The settings as of the last event.
    pub settings: Settings,
    plays: BTreeMap<Arc<str>, Play>,
    broken: HashMap<SideKey, HashMap<Connection, Broken>>,
    due: BTreeMap<Duration, BTreeSet<Arc<str>>>,
    settling: BTreeMap<Arc<str>, Duration>,
    /// Namespaces whose policies somebody else wrote after what the operator last said of them.
    overtaken: BTreeSet<Arc<str>>,
    ownership: Ownership,
    /// The last policy write of somebody else in each namespace.
    interference: BTreeMap<Arc<str>, (Duration, Writer)>,
    cache: Cache,
    revision: u64,
    /// What was found.
    pub report: Report,
}

/// The moment of a judgement and the write that led to it, if one did.
#[derive(Clone, Copy)]
struct Moment<'a> {
    at: Duration,
    revision: u64,
    write: Option<&'a Event>,
}

impl<'a> Judge<'a> {
    /// Starts from the base of the history.
    pub fn new(rules: &'a Rules, history: &History) -> Self {
        let mut judge = Self {
            rules,
            world: World::default(),
            settings: Settings::new(rules.read_overrides),
            plays: BTreeMap::new(),
            broken: HashMap::new(),
            due: BTreeMap::new(),
            settling: BTreeMap::new(),
            overtaken: BTreeSet::new(),
            ownership: Ownership::default(),
            interference: BTreeMap::new(),
            cache: Cache::default(),
            revision: 0,
            report: Report::default(),
        };
        for event in &history.base {
            judge.world.apply(event, true);
            judge.settings.apply(event);
            judge.ownership.base(event);
        }
        let wall = history.base.last().map_or_else(SystemTime::now, |e| e.wall);
        judge.update_plays(Duration::ZERO, wall, None);
        judge
    }

    /// Judges one event.
    pub fn step(&mut self, event: &Event) {
        self.pass_time(event.at);
        let moment = |write| Moment {
            at: event.at,
            revision: event.revision,
            write,
        };
        let breaches = self.ownership.breaches(event, &self.settings);
        self.report.breaches.extend(breaches);
        if event.id.kind == Kind::Policy && event.writer != Writer::Ours {
            let last = (event.at, event.writer.clone());
            self.interference.insert(event.id.namespace.clone(), last);
        }
        // What was healed by time alone shall not count as continuing.
        let ailing: BTreeSet<Arc<str>> = self.broken.keys().map(|key| Arc::clone(&key.0)).collect();
        self.judge(&ailing, moment(None));
        let reach = self.world.apply(event, false);
        let mut affected = self.affected(event, reach);
        let settings_changed = self.settings.apply(event);
        affected.extend(self.changed_plays(event, settings_changed));
        if reach == Reach::Everything {
            self.cache.clear();
        }
        self.revision = event.revision;
        self.report.counts.revisions += 1;
        self.report.counts.ours += u64::from(event.writer == Writer::Ours);
        self.judge(&affected, moment(Some(event)));
        self.watch_settling(event);
    }

    /// A namespace is probed for exactness one window after its last own change, while it says that it is
    /// Restricted. What it says holds for the versions that the operator saw: somebody else's write to its
    /// policies suspends the claim until the operator next says something of the namespace, or the end. A
    /// repair alone says nothing: the operator may end before it gets to the status.
    fn watch_settling(&mut self, event: &Event) {
        let namespace = match event.id.kind {
            Kind::SystemNamespace => &event.id.name,
            Kind::Policy | Kind::SystemNetworkPolicy => &event.id.namespace,
            Kind::SystemIsolation | Kind::Network => {
                let stays = |namespace: &Arc<str>| matches!(self.modes(namespace), [Mode::Restricted { .. }]);
                let kept = self.settling.iter().filter(|(namespace, _)| stays(namespace));
                self.settling = kept
                    .map(|(namespace, due)| (Arc::clone(namespace), *due))
                    .collect();
                return;
            }
            _ => return,
        };
        match (event.id.kind, &event.writer) {
            (Kind::Policy, writer) if *writer != Writer::Ours => {
                self.overtaken.insert(Arc::clone(namespace));
            }
            (Kind::SystemNamespace, Writer::Ours) => {
                self.overtaken.remove(namespace);
            }
            _ => {}
        }
        let modes = self.modes(namespace);
        let [mode @ Mode::Restricted { .. }] = modes else {
            self.settling.remove(namespace);
            return;
        };
        let overtaken = self.overtaken.contains(namespace);
        if self.settings.status(namespace).claims_exactness(mode) && !overtaken {
            self.settling
                .insert(Arc::clone(namespace), event.at + self.rules.window);
        } else {
            self.settling.remove(namespace);
        }
    }

    fn probe_settled(&mut self, now: Duration) {
        let ready = |(_, due): &(&Arc<str>, &Duration)| **due <= now;
        let namespaces: Vec<Arc<str>> = self
            .settling
            .iter()
            .filter(ready)
            .map(|(n, _)| Arc::clone(n))
            .collect();
        if !namespaces.is_empty() {
            self.world.peers();
        }
        for namespace in namespaces {
            self.settling.remove(&namespace);
            let found = exact::judge(
                self.rules,
                &self.world,
                &self.settings,
                &namespace,
                self.modes(&namespace),
            );
            self.report.counts.forbidden += found.probes;
            let revision = self.revision;
            let breach = |what| Breach {
                invariant: "S2",
                revision,
                what,
            };
            self.report.breaches.extend(found.wrong.into_iter().map(breach));
        }
    }

    /// Lets the window pass after the last event and judges what then binds.
    pub fn finish(&mut self, at: Duration) {
        for namespace in self.world.live_namespaces() {
            let status = self.settings.status(namespace);
            if matches!(self.modes(namespace), [mode @ Mode::Restricted { .. }] if status.claims_exactness(mode))
            {
                self.settling.entry(Arc::clone(namespace)).or_insert(at);
            }
        }
        self.pass_time(at + self.rules.window + Duration::from_millis(1));
        let all: BTreeSet<Arc<str>> = self.world.live_namespaces().cloned().collect();
        self.report.counts.namespaces = all.len() as u64;
    }

    /// Judges namespaces whose requirements grow because an older mode has left the window.
    fn pass_time(&mut self, now: Duration) {
        while let Some(first) = self.due.first_entry().filter(|entry| *entry.key() <= now) {
            let (at, namespaces) = first.remove_entry();
            self.world.trim(at.saturating_sub(self.rules.window));
            self.judge(
                &namespaces,
                Moment {
                    at,
                    revision: 0,
                    write: None,
                },
            );
        }
        self.world.trim(now.saturating_sub(self.rules.window));
        self.probe_settled(now);
    }

    fn affected(&self, event: &Event, reach: Reach) -> BTreeSet<Arc<str>> {
        match reach {
            Reach::Nothing => BTreeSet::new(),
            Reach::Namespace => BTreeSet::from([event.id.namespace.clone()]),
            Reach::Everything => self.world.live_namespaces().cloned().collect(),
        }
    }

    /// Namespaces for which other modes bind after this event.
    fn changed_plays(&mut self, event: &Event, settings_changed: bool) -> BTreeSet<Arc<str>> {
        let own = match event.id.kind {
            Kind::Namespace | Kind::SystemNamespace => Some(&event.id.name),
            Kind::SystemNetworkPolicy => Some(&event.id.namespace),
            _ => None,
        };
        let mut changed = match own {
            Some(one) => self.update_plays(event.at, event.wall, Some(one)),
            None if settings_changed => self.update_plays(event.at, event.wall, None),
            None => BTreeSet::new(),
        };
        let expiring: Vec<Arc<str>> = self
            .settings
            .named()
            .filter(|name| {
                let object = self.settings.system_namespace(name);
                object.is_some_and(|o| !o["spec"]["override"]["expirationTime"].is_null())
            })
            .cloned()
            .collect();
        for name in expiring {
            changed.extend(self.update_plays(event.at, event.wall, Some(&name)));
        }
        changed
    }

    fn update_plays(
        &mut self,
        at: Duration,
        wall: SystemTime,
        only: Option<&Arc<str>>,
    ) -> BTreeSet<Arc<str>> {
        let names: Vec<Arc<str>> = match only {
            Some(one) => self
                .world
                .live_namespaces()
                .filter(|n| *n == one)
                .cloned()
                .collect(),
            None => self.world.live_namespaces().cloned().collect(),
        };
        if let Some(gone) = only.filter(|_| names.is_empty()) {
            self.plays.remove(gone);
        }
        let mut changed = BTreeSet::new();
        for name in names {
            let play = self.plays.entry(Arc::clone(&name)).or_default();
            let target = self
                .settings
                .target(&name, &self.rules.facts, wall, play.target());
            let status = self.settings.status(&name);
            let released = self.settings.system_namespace(&name).is_none();
            if play.update(at, target, &status, released) {
                self.due
                    .entry(at + self.rules.window)
                    .or_default()
                    .insert(Arc::clone(&name));
                changed.insert(name);
            }
        }
        changed
    }

    /// The modes that bind a namespace now.
    pub fn modes(&self, namespace: &str) -> &[Mode] {
        self.plays.get(namespace).map_or(&[], Play::now)
    }

    /// What a bundle isolates, it isolates by design; its own tables judge it. A system namespace is a bundle's only
    /// while one names it, and until nobody sees any more what it made there: policies of the switch are all called bulkhead-….
    fn is_bundles(&self, namespace: &str) -> bool {
        let mut seen = self.world.recent_policies(namespace);
        self.ownership.is_of_bundle(namespace)
            && (!self.settings.is_system(namespace)
                || self.ownership.is_taken_by_bundle(namespace)
                || seen.any(|(name, policy)| policy.ours && !name.starts_with("bulkhead-")))
    }

    fn judge(&mut self, namespaces: &BTreeSet<Arc<str>>, moment: Moment<'_>) {
        if namespaces.is_empty() {
            return;
        }
        if self.world.peers_are_stale() {
            self.world.peers();
            self.cache.clear();
        }
        let live: BTreeSet<Arc<str>> = self.world.live_namespaces().cloned().collect();
        for namespace in namespaces {
            if !live.contains(namespace) || self.is_bundles(namespace) {
                self.broken.retain(|key, _| key.0 != *namespace);
                continue;
            }
            let since = moment.at.saturating_sub(self.rules.window);
            let Some(play) = self.plays.get_mut(namespace) else {
                continue;
            };
            let (now, recent) = (play.now().to_vec(), play.recent(since));
            let target = play.target().to_vec();
            let names: Vec<Arc<str>> = self
                .world
                .subjects(namespace)
                .map(|(name, _)| Arc::clone(name))
                .collect();
            self.broken
                .retain(|key, _| key.0 != *namespace || names.contains(&key.1));
            for name in names {
                for direction in DIRECTIONS {
                    let key = (Arc::clone(namespace), Arc::clone(&name), direction);
                    self.judge_side(&key, &now, &recent, &target, moment);
                }
            }
        }
    }

    fn judge_side(
        &mut self,
        key: &SideKey,
        now: &[Mode],
        recent: &[Mode],
        target: &[Mode],
        moment: Moment<'_>,
    ) {
        let mut lost = Lost::new();
        for (level, modes) in [(Level::Mixed, recent), (Level::Stored, now)] {
            let Some((_, pod)) = self.world.subjects(&key.0).find(|(name, _)| **name == key.1) else {
                return;
            };
            let side = Side {
                namespace: &key.0,
                name: &key.1,
                pod,
                direction: key.2,
                recent: level == Level::Mixed,
            };
            let found = side::judge(self.rules, &self.world, &mut self.cache, side, modes, target);
            self.report.counts.sides += 1;
            self.report.counts.connections += found.connections;
            self.report.counts.mixes += found.mixes;
            lost.extend(
                found
                    .missing
                    .into_iter()
                    .map(|m| (m.connection, (level, m.why, m.by_others))),
            );
        }
        self.record(key, lost, moment);
    }

    /// Compares with what was lost before: what is new, or worse, is a loss by this write.
    fn record(&mut self, key: &SideKey, lost: Lost, moment: Moment<'_>) {
        let before = self.broken.remove(key).unwrap_or_default();
        self.note_regained(&before, &lost, moment);
        if lost.is_empty() {
            return;
        }
        let policy_written = moment.write.is_some_and(|event| event.id.kind == Kind::Policy);
        let is_new = |(connection, (level, _, by_others)): &(&Connection, &(Level, Arc<str>, bool))| {
            let worse = before.get(*connection).is_none_or(|old| old.level < *level);
            worse && (policy_written || !by_others)
        };
        let mut fresh: Vec<_> = lost.iter().filter(is_new).collect();
        fresh.sort();
        let index = self.report.losses.len();
        if let Some((connection, (level, why, _))) = fresh.first() {
            let example = format!(
                "{} {:?}/{} ({why})",
                connection.peer, connection.protocol, connection.port
            );
            let loss = self.loss(key, moment, *level, example, fresh.len(), &before);
            self.report.losses.push(loss);
        }
        let fresh: BTreeSet<Connection> = fresh
            .into_iter()
            .map(|(connection, _)| connection.clone())
            .collect();
        let entries = lost.into_iter().map(|(connection, (level, _, _))| {
            let loss = match before.get(&connection) {
                _ if fresh.contains(&connection) => Some(index),
                old => old.and_then(|old| old.loss),
            };
            (connection, Broken { level, loss })
        });
        self.broken.insert(key.clone(), entries.collect());
    }

    fn note_regained(&mut self, before: &HashMap<Connection, Broken>, lost: &Lost, moment: Moment<'_>) {
        for (connection, old) in before {
            let regained = lost
                .get(connection)
                .is_none_or(|(level, _, _)| *level < old.level);
            let Some(loss) = old.loss.filter(|_| regained && old.level == Level::Stored) else {
                continue;
            };
            let loss = &mut self.report.losses[loss];
            if loss.regained.is_none_or(|(_, at)| at < moment.at) {
                loss.regained = Some((moment.revision, moment.at));
            }
        }
    }

    fn loss(
        &self,
        key: &SideKey,
        moment: Moment<'_>,
        level: Level,
        example: String,
        connections: usize,
        before: &HashMap<Connection, Broken>,
    ) -> Loss {
        let Moment { at, revision, write } = moment;
        // A new connection to a side that somebody else has cut off shares its cause.
        let inherited = before
            .values()
            .filter_map(|old| Some(&self.report.losses[old.loss?]))
            .find(|l| l.writer != Writer::Ours);
        let interferes = |namespace: &Arc<str>| {
            let last = self.interference.get(namespace);
            last.is_some_and(|(then, _)| *then + self.rules.window >= at)
        };
        let is_policy = write.is_some_and(|event| event.id.kind == Kind::Policy);
        let writer = match (write, inherited) {
            (Some(event), _) if is_policy => event.writer.clone(),
            (_, Some(cause)) => cause.writer.clone(),
            // What begins to be required while somebody else's write is still in the window.
            (None, None) if interferes(&key.0) => self.interference[&key.0].1.clone(),
            // Nobody but the operator is to see to it that what is required from now on is allowed.
            _ => Writer::Ours,
        };
        let write = write.map_or_else(
            || "an older mode leaving the window".to_owned(),
            |event| {
                format!(
                    "{} {}",
                    if event.content.is_gone() {
                        "deleting"
                    } else {
                        "writing"
                    },
                    event.id
                )
            },
        );
        let (namespace, pod, direction) = key.clone();
        Loss {
            revision,
            at,
            level,
            write,
            writer,
            namespace,
            pod,
            direction,
            example,
            connections,
            regained: None,
        }
    }
}

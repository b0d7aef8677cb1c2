//! One namespace on its way through the compiler.

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::area::Area;
use crate::engine::ends::{EndId, EndSet};
use crate::engine::resolve::{Covered, Resolve, on_host};
use crate::lower::Lowered;
use crate::policy::{Direction, Policy};
use crate::ports::PortSet;
use crate::region::Region;
use crate::selector::Selector;
use crate::verdict::isolates;

use super::{Compiler, Holding, PeersKey, Reach, Said, Saying};

/// One namespace on its way through the compiler.
pub(super) struct Compiling<'c, 'a, R> {
    pub compiler: &'c mut Compiler<'a>,
    pub resolver: &'c mut R,
    pub own: Selector,
    pub network: (u32, Option<Arc<str>>),
    /// `None`: everybody.
    pub reach: Option<EndSet>,
    pub said: &'c mut Said,
}

impl<R: Resolve> Compiling<'_, '_, R> {
    /// Says what NetworkPolicies allow; the answer tells which classes they isolate.
    pub fn policies(&mut self, classes: &[EndId], policies: &[&Policy]) -> Vec<bool> {
        let direction = self.compiler.direction;
        let mut isolated = vec![false; classes.len()];
        for policy in policies {
            let Some(rules) = policy.rules(direction) else {
                continue;
            };
            let mut selected = Vec::with_capacity(classes.len());
            for (class, isolated) in classes.iter().zip(&mut isolated) {
                if self
                    .resolver
                    .pod(*class)
                    .is_some_and(|pod| isolates(policy, direction, pod))
                {
                    *isolated = true;
                    selected.push(*class);
                }
            }
            for rule in rules.iter().filter(|_| !selected.is_empty()) {
                let lowered = Lowered::new(self.resolver.world(), &self.own, direction, rule);
                self.rule(&lowered, &selected);
            }
        }
        isolated
    }

    /// Says what holds for classes that no NetworkPolicy isolates: the Baseline tier decides, or nobody.
    pub fn unisolated(&mut self, classes: &[EndId], isolated: &[bool]) {
        for (class, _) in classes.iter().zip(isolated).filter(|(_, isolated)| !**isolated) {
            let stage = self.compiler.tiers.baseline.of_class(self.resolver, *class);
            let Some(stage) = stage else {
                self.open(*class);
                continue;
            };
            let stage = self.compiler.tiers.baseline.stage(stage);
            if !stage.denies {
                self.open(*class);
                continue;
            }
            self.said.baseline.push(*class);
            let surely = self.in_reach(&stage.accepted.union(&stage.left));
            let perhaps = self.in_reach(&stage.perhaps_accepted.union(&stage.perhaps_left));
            for (area, sure) in [(surely, true), (perhaps, false)] {
                for saying in self.compiler.of_area(&area, sure) {
                    self.said.sayings.push((saying, *class));
                }
            }
        }
    }

    /// Says that a class is open to everybody in its reach; the host network reaches all networks.
    fn open(&mut self, class: EndId) {
        let on_host = self.resolver.pod(class).is_some_and(on_host);
        let saying = match &self.reach {
            Some(reach) if !on_host => {
                let (number, name) = &self.network;
                self.compiler
                    .open_within(*number, reach, Reach::Network(name.clone()))
            }
            _ => self.compiler.open(&self.resolver.everyone()),
        };
        self.said.sayings.push((saying, class));
    }

    /// Puts the Admin tier before everything that is said.
    pub fn through_admin(&mut self, classes: &[EndId]) {
        let mut stages: HashMap<EndId, usize> = HashMap::new();
        for class in classes {
            if let Some(stage) = self.compiler.tiers.admin.of_class(self.resolver, *class) {
                stages.insert(*class, stage);
            }
        }
        if stages.is_empty() {
            return;
        }
        let mut left: HashMap<(Saying, usize), Vec<Saying>> = HashMap::new();
        let mut accepted: HashMap<usize, Vec<Saying>> = HashMap::new();
        let mut sayings = Vec::with_capacity(self.said.sayings.len());
        for (saying, class) in std::mem::take(&mut self.said.sayings) {
            let Some(stage) = stages.get(&class) else {
                sayings.push((saying, class));
                continue;
            };
            let key = (saying, *stage);
            let left = left
                .entry(key)
                .or_insert_with(|| self.compiler.left(saying, *stage));
            sayings.extend(left.iter().map(|saying| (*saying, class)));
        }
        for (class, at) in &stages {
            let stage = self.compiler.tiers.admin.stage(*at);
            if stage.denies {
                self.said.admin.push(*class);
            }
            if !accepted.contains_key(at) {
                let surely = self.in_reach(&stage.accepted);
                let perhaps = self.in_reach(&stage.perhaps_accepted);
                let mut all = self.compiler.of_area(&surely, true);
                all.extend(self.compiler.of_area(&perhaps, false));
                accepted.insert(*at, all);
            }
            sayings.extend(accepted[at].iter().map(|saying| (*saying, *class)));
        }
        self.said.sayings = sayings;
    }

    fn in_reach(&self, area: &Area) -> Area {
        match &self.reach {
            Some(reach) => area.intersect(&Area::of(reach.clone(), PortSet::all())),
            None => area.clone(),
        }
    }

    fn rule(&mut self, rule: &Lowered, classes: &[EndId]) {
        let named = !rule.names.is_empty();
        for region in &rule.regions {
            if named && self.compiler.direction == Direction::Ingress {
                for class in classes {
                    let ports = rule.ports(self.resolver.pod(*class)).into_owned();
                    self.say(region, None, &ports, &[*class]);
                }
                continue;
            }
            self.say(region, None, &rule.numbers, classes);
            if named && matches!(region, Region::Pods { .. } | Region::HostPods { .. }) {
                self.names(region, rule, classes);
            }
        }
    }

    fn names(&mut self, region: &Region, rule: &Lowered, classes: &[EndId]) {
        for (protocol, name) in &rule.names {
            for (number, holders) in self.resolver.holders(*protocol, name) {
                let ports = PortSet::single(*protocol, number);
                let holding = ((*protocol, name.clone(), number), holders);
                self.say(region, Some(&holding), &ports, classes);
            }
        }
    }

    fn say(
        &mut self,
        region: &Region,
        holding: Option<&(Holding, EndSet)>,
        ports: &PortSet,
        classes: &[EndId],
    ) {
        if ports.is_empty() {
            return;
        }
        let ports = self.compiler.ports_id(ports);
        let narrowed = holding
            .as_ref()
            .map(|((protocol, name, number), _)| (*protocol, self.compiler.names.id(name), *number));
        let key = PeersKey {
            region: Some(self.compiler.region_key(region)),
            holding: narrowed,
            network: self.network.0,
        };
        let (resolver, reach) = (&mut *self.resolver, &self.reach);
        let direction = self.compiler.direction;
        let within = || match reach {
            Some(_) => Reach::Network(self.network.1.clone()),
            None => Reach::Everybody,
        };
        let name = || holding.map(|(holding, _)| holding.clone());
        let meaning = || (Some(region.clone()), name(), within());
        let (surely, perhaps) = self.compiler.store(key, meaning, || {
            let mut covered = resolver.covered(region, direction);
            if let Some((_, holders)) = holding {
                covered = Covered {
                    surely: covered.surely.intersect(holders),
                    perhaps: EndSet::default(),
                };
            }
            if let Some(reach) = reach {
                covered.surely = covered.surely.intersect(reach);
                covered.perhaps = covered.perhaps.intersect(reach);
            }
            covered
        });
        for (peers, sure) in [(surely, true), (perhaps, false)] {
            if let Some(peers) = peers {
                let said = classes.iter().map(|class| ((peers, ports, sure), *class));
                self.said.sayings.extend(said);
            }
        }
    }
}

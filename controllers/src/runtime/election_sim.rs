//! Candidates with drifting clocks over a lossy network, against a Lease that compares resourceVersions.
//! Time is in milliseconds of true time; each candidate sees only its own clock.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// Answers travel for at most this long; a request may also land this late after its sender gave up.
const SLOWEST: u64 = 6_000;

#[derive(Clone, Debug)]
enum Fate {
    Delivered { there: u64, back: u64 },
    RequestLost,
    AnswerLost { there: u64 },
}

#[derive(Clone, Debug)]
enum Trouble {
    Crash(usize),
    /// The process does nothing for so many milliseconds; its clock goes on.
    Pause(usize, u64),
    DeleteLease,
    /// Somebody edits the Lease without touching its holder.
    Touch,
}

#[derive(Clone, Debug)]
struct Weather {
    /// Speed of each clock in thousandths.
    rates: Vec<u64>,
    fates: Vec<Fate>,
    troubles: Vec<(u64, Trouble)>,
}

fn fate() -> impl Strategy<Value = Fate> {
    let quick = (1_u64..150, 1_u64..150);
    let slow = (1_u64..SLOWEST, 1_u64..SLOWEST);
    prop_oneof![
        8 => quick.prop_map(|(there, back)| Fate::Delivered { there, back }),
        2 => slow.prop_map(|(there, back)| Fate::Delivered { there, back }),
        1 => Just(Fate::RequestLost),
        1 => (1_u64..SLOWEST).prop_map(|there| Fate::AnswerLost { there }),
    ]
}

fn weather(candidates: usize, until: u64) -> impl Strategy<Value = Weather> {
    let trouble = prop_oneof![
        (0..candidates).prop_map(Trouble::Crash),
        (0..candidates, 1_u64..30_000).prop_map(|(who, time)| Trouble::Pause(who, time)),
        Just(Trouble::DeleteLease),
        Just(Trouble::Touch),
    ];
    (
        prop::collection::vec(900_u64..=1_100, candidates),
        prop::collection::vec(fate(), 1..40),
        prop::collection::vec((0..until, trouble), 0..12),
    )
        .prop_map(|(rates, fates, mut troubles)| {
            troubles.sort_by_key(|(at, _)| *at);
            Weather {
                rates,
                fates,
                troubles,
            }
        })
}

#[derive(Clone, Debug)]
enum Request {
    Read,
    Create(Vacancy),
    Write(Write),
}

#[derive(Clone, Debug)]
enum Answer {
    Found(Option<Record>),
    Stored(String),
    Conflict,
}

struct Candidate {
    name: String,
    rate: u64,
    election: Election,
    /// The request that it waits for.
    pending: Option<Pending>,
    /// Number of the pending request; answers to others are ignored.
    serial: u64,
    asleep_until: u64,
}

#[derive(Clone)]
struct Pending {
    request: Request,
    /// By the candidate's own clock.
    sent: Instant,
    /// When by true time, and what.
    answer: Option<(u64, Answer)>,
}

struct Flight {
    lands: u64,
    back: Option<u64>,
    who: usize,
    sender: String,
    serial: u64,
    request: Request,
}

struct World {
    epoch: Instant,
    now: u64,
    weather: Weather,
    lease: Option<Record>,
    versions: u64,
    births: u64,
    drawn: usize,
    flights: Vec<Flight>,
    candidates: Vec<Candidate>,
    acquisitions: usize,
}

impl World {
    fn new(weather: Weather, shipped: bool) -> Self {
        let mut world = Self {
            epoch: Instant::now(),
            now: 0,
            lease: shipped.then(|| stored("0", "")),
            versions: 0,
            births: 0,
            drawn: 0,
            flights: Vec::new(),
            candidates: Vec::new(),
            acquisitions: 0,
            weather,
        };
        for rate in world.weather.rates.clone() {
            let candidate = world.newborn(rate);
            world.candidates.push(candidate);
        }
        world
    }

    fn newborn(&mut self, rate: u64) -> Candidate {
        self.births += 1;
        let name = format!("process-{}", self.births);
        let election = Election::new(name.clone(), TIMING, self.local(rate));
        Candidate {
            name,
            rate,
            election,
            pending: None,
            serial: self.births << 32,
            asleep_until: 0,
        }
    }

    fn local(&self, rate: u64) -> Instant {
        self.epoch + Duration::from_micros(self.now * rate)
    }

    fn step(&mut self, troubles: &mut VecDeque<(u64, Trouble)>) {
        while troubles.front().is_some_and(|(at, _)| *at <= self.now) {
            let (_, trouble) = troubles.pop_front().unwrap();
            self.strike(&trouble);
        }
        self.land();
        for who in 0..self.candidates.len() {
            if self.candidates[who].asleep_until <= self.now {
                self.run(who);
            }
        }
    }

    fn strike(&mut self, trouble: &Trouble) {
        match trouble {
            Trouble::Crash(who) => {
                let rate = self.candidates[*who].rate;
                self.candidates[*who] = self.newborn(rate);
            }
            Trouble::Pause(who, time) => self.candidates[*who].asleep_until = self.now + time,
            Trouble::DeleteLease => self.lease = None,
            Trouble::Touch => {
                self.versions += 1;
                if let Some(lease) = self.lease.as_mut() {
                    lease.version = self.versions.to_string();
                }
            }
        }
    }

    /// Requests reach the store, each at its own time, also after their sender gave up or died.
    fn land(&mut self) {
        let now = self.now;
        let (due, later) = std::mem::take(&mut self.flights)
            .into_iter()
            .partition(|flight| flight.lands <= now);
        self.flights = later;
        for flight in due {
            let answer = self.serve(&flight.request, &flight.sender);
            let candidate = &mut self.candidates[flight.who];
            if let Some(pending) = candidate
                .pending
                .as_mut()
                .filter(|_| candidate.serial == flight.serial)
            {
                pending.answer = flight.back.map(|back| (now + back, answer));
            }
        }
    }

    fn serve(&mut self, request: &Request, sender: &str) -> Answer {
        let current = self.lease.as_ref().map(|lease| &lease.version);
        let (accepted, holder, transitions) = match request {
            Request::Read => return Answer::Found(self.lease.clone()),
            Request::Create(vacancy) => (current.is_none(), VACANT, vacancy.transitions),
            Request::Write(write) => (current == Some(&write.base), sender, write.term),
        };
        if !accepted {
            return Answer::Conflict;
        }
        self.versions += 1;
        self.lease = Some(Record {
            version: self.versions.to_string(),
            holder: holder.to_owned(),
            lease_duration: TIMING.lease_duration,
            transitions,
        });
        Answer::Stored(self.versions.to_string())
    }

    fn run(&mut self, who: usize) {
        let (true_now, now) = (self.now, self.local(self.candidates[who].rate));
        let candidate = &mut self.candidates[who];
        if let Some(Pending {
            request,
            sent,
            answer,
        }) = candidate.pending.clone()
        {
            let arrived = answer.filter(|(at, _)| *at <= true_now).map(|(_, answer)| answer);
            // The same limit as in the real loop: a leader gives up in time to step down.
            let tenure = candidate.election.tenure();
            let left = tenure.map_or(Duration::MAX, |tenure| {
                tenure.valid_until.saturating_duration_since(sent)
            });
            let late = now.saturating_duration_since(sent) >= TIMING.attempt_timeout().min(left);
            match (arrived, request) {
                (Some(Answer::Found(found)), _) => candidate.election.on_read(sent, now, found),
                (Some(Answer::Stored(version)), Request::Write(write)) => {
                    candidate.election.on_written(sent, now, &write, version);
                    self.acquisitions += usize::from(write.acquires);
                }
                (Some(Answer::Stored(version)), Request::Create(vacancy)) => {
                    candidate.election.on_created(sent, now, vacancy, version);
                }
                (Some(_), _) => candidate.election.on_conflict(now),
                (None, _) if late => candidate.election.on_error(sent),
                (None, _) => return,
            }
            candidate.pending = None;
        }
        while let Action::StepDown(_) = candidate.election.decide(now) {
            candidate.election.step_down();
        }
        match candidate.election.decide(now) {
            Action::Read => self.send(who, Request::Read, now),
            Action::Create(vacancy) => self.send(who, Request::Create(vacancy), now),
            Action::Write(write) => self.send(who, Request::Write(write), now),
            Action::Wait(until) => assert!(until > now, "waiting for the past"),
            Action::StepDown(_) => unreachable!(),
        }
    }

    fn send(&mut self, who: usize, request: Request, now: Instant) {
        let fate = self.weather.fates[self.drawn % self.weather.fates.len()].clone();
        self.drawn += 1;
        let candidate = &mut self.candidates[who];
        candidate.serial += 1;
        candidate.pending = Some(Pending {
            request: request.clone(),
            sent: now,
            answer: None,
        });
        let (sender, serial) = (candidate.name.clone(), candidate.serial);
        let (there, back) = match fate {
            Fate::Delivered { there, back } => (there, Some(back)),
            Fate::AnswerLost { there } => (there, None),
            Fate::RequestLost => return,
        };
        self.flights.push(Flight {
            lands: self.now + there,
            back,
            who,
            sender,
            serial,
            request,
        });
    }

    /// Everybody whose claim is valid now, by its own clock: what a writer would ask right before a write.
    fn leaders(&self) -> Vec<(&str, u64)> {
        let claim = |candidate: &&Candidate| {
            let tenure = candidate.election.tenure();
            tenure.is_some_and(|tenure| self.local(candidate.rate) < tenure.valid_until)
        };
        let named = |candidate: &'_ Candidate| candidate.election.tenure().map_or(0, |tenure| tenure.term);
        self.candidates
            .iter()
            .filter(claim)
            .map(|it| (it.name.as_str(), named(it)))
            .collect()
    }
}

const STORM: u64 = 120_000;
const TICK: usize = 20;

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn never_two_valid_claims_and_always_a_leader_once_the_storm_is_over(
        weather in weather(3, STORM),
        shipped in any::<bool>(),
    ) {
        let mut troubles = VecDeque::from(weather.troubles.clone());
        let mut world = World::new(weather, shipped);
        for now in (0..STORM).step_by(TICK) {
            world.now = now;
            world.step(&mut troubles);
            let leaders = world.leaders();
            prop_assert!(leaders.len() <= 1, "at {now} ms all of these lead: {leaders:?}");
        }
        // From here on the network works and nobody is in trouble: sleepers wake within 30 s, an absent
        // or held Lease takes 15 s of the slowest clock.
        world.weather.fates = vec![Fate::Delivered { there: 5, back: 5 }];
        for now in (STORM..STORM + 90_000).step_by(TICK) {
            world.now = now;
            world.step(&mut troubles);
            let leaders = world.leaders();
            prop_assert!(leaders.len() <= 1, "at {now} ms all of these lead: {leaders:?}");
        }
        prop_assert_eq!(world.leaders().len(), 1, "nobody leads although all is well");
        prop_assert!(world.acquisitions > 0);
    }
}

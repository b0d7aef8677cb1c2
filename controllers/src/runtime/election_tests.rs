use super::*;

#[path = "election_sim.rs"]
mod sim;

const TIMING: Timing = Timing {
    lease_duration: Duration::from_secs(15),
    renew_deadline: Duration::from_secs(10),
    retry_period: Duration::from_secs(2),
};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn stored(version: &str, holder: &str) -> Record {
    Record {
        version: version.to_owned(),
        holder: holder.to_owned(),
        lease_duration: secs(15),
        transitions: 7,
    }
}

fn write(base: &str, term: u64, acquires: bool) -> Action {
    Action::Write(Write {
        base: base.to_owned(),
        term,
        acquires,
    })
}

/// A candidate `me` that has just read `found` at the returned moment.
fn after_reading(found: impl Into<Option<Record>>) -> (Election, Instant) {
    let now = Instant::now();
    let mut election = Election::new("me".to_owned(), TIMING, now);
    assert_eq!(election.decide(now), Action::Read);
    election.on_read(now, now, found.into());
    (election, now)
}

/// A candidate `me` that took the free Lease at the returned moment, in term 8, stored as version 2.
fn leading() -> (Election, Instant) {
    let (mut election, now) = after_reading(stored("1", ""));
    let Action::Write(write) = election.decide(now) else {
        panic!("a free Lease is taken")
    };
    election.on_written(now, now, &write, "2".to_owned());
    (election, now)
}

#[test]
fn what_a_candidate_does_about_what_it_read() {
    let take = write("1", 8, true);
    let (free, held) = (stored("1", ""), stored("1", "you"));
    // What was found, how many seconds later it decides, and what.
    for (found, after, expected) in [
        (Some(&free), 0, take.clone()),
        (Some(&held), 2, Action::Read),
        (Some(&held), 15, take.clone()),
        (Some(&held), 60, take),
        (None, 0, Action::Create(Vacancy { transitions: 0 })),
    ] {
        let (election, now) = after_reading(found.cloned());
        assert_eq!(
            election.decide(now + secs(after)),
            expected,
            "{after}s after finding {found:?}"
        );
    }
    let (election, now) = after_reading(held);
    assert_eq!(election.decide(now), Action::Wait(now + secs(2)));
}

#[test]
fn a_change_seen_by_a_standby_restarts_its_patience() {
    let (mut election, now) = after_reading(stored("1", "you"));
    election.on_read(now + secs(14), now + secs(14), Some(stored("2", "you")));
    assert_eq!(election.decide(now + secs(15)), Action::Wait(now + secs(16)));
    election.on_read(now + secs(28), now + secs(28), Some(stored("2", "you")));
    assert_eq!(election.decide(now + secs(28)), Action::Wait(now + secs(29)));
    assert_eq!(election.decide(now + secs(29)), write("2", 8, true));
}

#[test]
fn patience_counts_from_the_end_of_the_read() {
    let now = Instant::now();
    let mut election = Election::new("me".to_owned(), TIMING, now);
    election.on_read(now, now + secs(3), Some(stored("1", "you")));
    election.on_read(now + secs(17), now + secs(17), Some(stored("1", "you")));
    assert_eq!(election.decide(now + secs(17)), Action::Wait(now + secs(18)));
    assert_eq!(election.decide(now + secs(18)), write("1", 8, true));
}

#[test]
fn a_holder_that_asks_for_more_patience_gets_it() {
    let patient = Record {
        lease_duration: secs(137),
        ..stored("1", "you")
    };
    let (mut election, now) = after_reading(patient.clone());
    election.on_read(now + secs(136), now + secs(136), Some(patient));
    assert_eq!(election.decide(now + secs(136)), Action::Wait(now + secs(137)));
    assert_eq!(election.decide(now + secs(137)), write("1", 8, true));
}

#[test]
fn a_claim_counts_from_the_start_of_the_write() {
    let (mut election, now) = after_reading(stored("1", ""));
    let Action::Write(write) = election.decide(now) else {
        panic!("a free Lease is taken")
    };
    election.on_written(now, now + secs(3), &write, "2".to_owned());
    assert_eq!(
        election.tenure(),
        Some(Tenure {
            term: 8,
            valid_until: now + secs(10)
        })
    );
}

#[test]
fn a_leader_renews_in_the_same_term_and_only_when_due() {
    let (mut election, now) = leading();
    assert_eq!(election.decide(now + secs(1)), Action::Wait(now + secs(2)));
    assert_eq!(election.decide(now + secs(2)), write("2", 8, false));
    let renewal = Write {
        base: "2".to_owned(),
        term: 8,
        acquires: false,
    };
    election.on_written(now + secs(2), now + secs(2), &renewal, "3".to_owned());
    assert_eq!(
        election.tenure(),
        Some(Tenure {
            term: 8,
            valid_until: now + secs(12)
        })
    );
}

#[test]
fn a_leader_that_cannot_renew_looks_again_and_steps_down_at_the_deadline() {
    let (mut election, now) = leading();
    election.on_error(now + secs(2));
    assert_eq!(election.decide(now + secs(3)), Action::Wait(now + secs(4)));
    assert_eq!(election.decide(now + secs(4)), Action::Read);
    election.on_error(now + secs(9));
    assert_eq!(
        election.decide(now + secs(9)),
        Action::Wait(now + secs(10)),
        "no later than the deadline"
    );
    assert_eq!(election.decide(now + secs(10)), Action::StepDown(Loss::Expired));
}

#[test]
fn a_renewal_whose_answer_was_lost_is_recognised_and_renewed_again() {
    let (mut election, now) = leading();
    election.on_error(now + secs(2));
    election.on_read(now + secs(4), now + secs(4), Some(stored("3", "me")));
    assert_eq!(election.decide(now + secs(4)), write("3", 8, false));
}

#[test]
fn a_leader_steps_down_when_the_lease_is_taken_or_deleted() {
    for (found, loss) in [
        (Some(stored("9", "you")), Loss::Taken("you".to_owned())),
        (None, Loss::Deleted),
    ] {
        let (mut election, now) = leading();
        election.on_conflict(now + secs(2));
        assert_eq!(election.decide(now + secs(2)), Action::Read, "at once");
        election.on_read(now + secs(2), now + secs(2), found);
        assert_eq!(election.decide(now + secs(2)), Action::StepDown(loss));
    }
}

#[test]
fn every_acquisition_is_a_new_term_even_after_the_lease_was_deleted() {
    let (mut election, now) = leading();
    election.step_down();
    election.on_read(now + secs(20), now + secs(20), None);
    let Action::Create(vacancy) = election.decide(now + secs(20)) else {
        panic!("creates")
    };
    election.on_created(now + secs(20), now + secs(20), vacancy, "5".to_owned());
    assert_eq!(election.tenure(), None, "a created Lease is not yet a held one");
    assert_eq!(election.decide(now + secs(20)), Action::Wait(now + secs(22)));
    election.on_read(now + secs(34), now + secs(34), Some(stored("5", VACANT)));
    assert_eq!(election.decide(now + secs(35)), write("5", 9, true));
}

#[test]
fn a_stopped_process_finds_its_tenure_over_and_starts_a_new_term_if_nobody_took_it() {
    let (mut election, now) = leading();
    assert_eq!(election.decide(now + secs(60)), Action::StepDown(Loss::Expired));
    election.step_down();
    assert_eq!(election.decide(now + secs(60)), write("2", 9, true));
}

#[test]
fn only_a_holder_gives_the_lease_back_and_its_tenure_ends_first() {
    let (mut election, _) = leading();
    assert!(election.release());
    assert_eq!(election.tenure(), None);
    let (mut standby, _) = after_reading(stored("1", "you"));
    assert!(!standby.release());
}

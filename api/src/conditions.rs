//! Conditions that change their transition time only when their status changes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// One condition to be reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its type.
    pub kind: &'static str,
    /// Its status.
    pub status: bool,
    /// CamelCase reason.
    pub reason: String,
    /// Message for people.
    pub message: String,
}

/// The most that a message may say (the limit of `metav1.Condition`).
const LONGEST: usize = 32_000;

impl Said {
    /// A condition.
    pub fn new(
        kind: &'static str,
        status: bool,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        let mut message = message.into();
        if message.len() > LONGEST {
            let cut = (0..=LONGEST)
                .rev()
                .find(|at| message.is_char_boundary(*at))
                .unwrap_or(0);
            message.truncate(cut);
        }
        Self {
            kind,
            status,
            reason: reason.into(),
            message,
        }
    }
}

/// The conditions as they are stored, with transition times taken over from `old` where the status stayed.
pub fn stored(said: &[Said], old: &[Condition], generation: i64, now: jiff::Timestamp) -> Vec<Condition> {
    let one = |said: &Said| {
        let status = if said.status { "True" } else { "False" };
        let before = old.iter().find(|c| c.type_ == said.kind && c.status == status);
        // Conditions are stored with whole seconds.
        let whole = jiff::Timestamp::from_second(now.as_second()).unwrap_or(now);
        Condition {
            type_: said.kind.into(),
            status: status.into(),
            reason: said.reason.clone(),
            message: said.message.clone(),
            last_transition_time: before.map_or(Time(whole), |c| c.last_transition_time.clone()),
            observed_generation: Some(generation),
        }
    };
    said.iter().map(one).collect()
}

/// The conditions as they are stored, with one of them said anew and all others as they were.
pub fn replaced(old: &[Condition], said: &Said, generation: i64, now: jiff::Timestamp) -> Vec<Condition> {
    let others = old.iter().filter(|c| c.type_ != said.kind).cloned();
    others
        .chain(stored(std::slice::from_ref(said), old, generation, now))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let first = stored(&[Said::new("Ready", true, "A", "")], &[], 1, at(100));
        let reworded = stored(&[Said::new("Ready", true, "B", "more")], &first, 2, at(200));
        assert_eq!(reworded[0].last_transition_time.0, at(100));
        assert_eq!(
            (reworded[0].reason.as_str(), reworded[0].observed_generation),
            ("B", Some(2))
        );
        let flipped = stored(&[Said::new("Ready", false, "C", "")], &reworded, 2, at(300));
        assert_eq!(flipped[0].last_transition_time.0, at(300));
    }

    #[test]
    fn replacing_one_condition_keeps_the_others() {
        let old = stored(
            &[Said::new("A", true, "X", ""), Said::new("B", true, "X", "")],
            &[],
            1,
            at(1),
        );
        let new = replaced(&old, &Said::new("B", false, "Y", ""), 1, at(2));
        assert_eq!(new.len(), 2);
        assert_eq!(
            new.iter().find(|c| c.type_ == "A"),
            old.iter().find(|c| c.type_ == "A")
        );
        assert_eq!(
            new.iter().find(|c| c.type_ == "B").map(|c| c.status.as_str()),
            Some("False")
        );
    }

    #[test]
    fn a_message_is_cut_at_a_character_when_it_is_too_long() {
        let said = Said::new("A", true, "X", "ö".repeat(40_000));
        assert!(said.message.len() <= LONGEST && said.message.chars().all(|c| c == 'ö'));
    }
}

//! Clusters in the middle of an upgrade: a flow of one release, and two things that may be of the other already, or
//! still.

use bulkhead_policy::PortSet;

use super::release::Release;

/// One of both releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// The one before.
    Old,
    /// The one after.
    New,
}

impl Which {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Old, Self::New];

    fn other(self) -> Self {
        match self {
            Self::Old => Self::New,
            Self::New => Self::Old,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::New => "new",
        }
    }
}

/// Both releases.
#[derive(Clone, Copy)]
pub struct Both<'r> {
    /// The one before.
    pub old: &'r Release,
    /// The one after.
    pub new: &'r Release,
}

impl<'r> Both<'r> {
    /// One of them.
    pub fn of(self, which: Which) -> &'r Release {
        match which {
            Which::Old => self.old,
            Which::New => self.new,
        }
    }
}

/// What may be of another release than the flow.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// The release of the policies.
    pub policies: Which,
    /// The release of the second thing: pods, or labels.
    pub second: Which,
}

/// A mix that denies a part of what a flow needs, which no mix nearer to the flow's own release denies.
pub struct Denied {
    /// What denies it, in words.
    pub state: String,
    /// The ports.
    pub ports: PortSet,
    /// Pods or labels of the release of the policies would be served.
    pub agree_together: bool,
}

/// How both things are called.
#[derive(Clone, Copy)]
pub struct Words {
    /// The policies.
    pub policies: &'static str,
    /// The second thing.
    pub second: &'static str,
}

/// Judges all four mixes for a flow of one release. `denied` tells the ports that a mix denies; what the flow's own
/// release denies was never there to be broken.
pub fn judge(client: Which, words: Words, denied: impl Fn(Mix) -> PortSet) -> Vec<Denied> {
    let other = client.other();
    let mix = |policies, second| denied(Mix { policies, second });
    let never = mix(client, client);
    let first = mix(other, client).subtract(&never);
    let second = mix(client, other).subtract(&never);
    let both = mix(other, other).subtract(&never);
    let Words {
        policies: policy_word,
        second: second_word,
    } = words;
    let said = |policies: Which, word: &str, which: Which| {
        format!("{policy_word} {}, {word} {}", policies.word(), which.word())
    };
    let agree_together = both.is_empty();
    let found = [
        Denied {
            state: said(other, if agree_together { second_word } else { "client" }, client),
            ports: first.clone(),
            agree_together,
        },
        Denied {
            state: said(client, second_word, other),
            ports: second.clone(),
            agree_together: true,
        },
        Denied {
            state: said(other, "client", client),
            ports: both.subtract(&first.union(&second)),
            agree_together: false,
        },
    ];
    found
        .into_iter()
        .filter(|denied| !denied.ports.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_policy::Protocol;

    const WORDS: Words = Words {
        policies: "policies",
        second: "server",
    };

    fn states(denies: impl Fn(Mix) -> bool) -> Vec<String> {
        let port = PortSet::single(Protocol::Tcp, 80);
        let found = judge(Which::Old, WORDS, |mix| {
            if denies(mix) {
                port.clone()
            } else {
                PortSet::none()
            }
        });
        found.into_iter().map(|denied| denied.state).collect()
    }

    #[test]
    fn only_the_mixes_nearest_to_the_flow_are_told() {
        let new_policies = |mix: Mix| mix.policies == Which::New;
        assert_eq!(states(new_policies), ["policies new, client old"]);
        let apart = |mix: Mix| mix.policies != mix.second;
        assert_eq!(
            states(apart),
            ["policies new, server old", "policies old, server new"]
        );
        let never = |_| true;
        assert!(
            states(never).is_empty(),
            "what is denied at rest breaks in no order"
        );
        let only_together = |mix: Mix| mix.policies == Which::New && mix.second == Which::New;
        assert_eq!(states(only_together), ["policies new, client old"]);
    }
}

//! What a policy of ours is for, as its label says.

/// What a policy of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Opens a namespace in both directions.
    AllowAll,
    /// Opens egress.
    AllowEgress,
    /// Isolates and serves the pods of one server.
    Server,
    /// A raw spec that somebody declared.
    Additional,
    /// Isolates the pods of one workload for egress and says what they may reach.
    Egress,
    /// Isolates every pod for ingress.
    DefaultDeny,
    /// Isolates every pod for egress.
    DefaultDenyEgress,
    /// Opens something for a component of an operand bundle.
    OperandAllow,
    /// Isolates pods of an operand bundle.
    OperandDeny,
}

impl Role {
    /// Value of the role label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllowAll => "allow-all",
            Self::AllowEgress => "allow-egress",
            Self::Server => "server",
            Self::Additional => "additional",
            Self::Egress => "egress",
            Self::DefaultDeny => "default-deny",
            Self::DefaultDenyEgress => "default-deny-egress",
            Self::OperandAllow => "operand-allow",
            Self::OperandDeny => "operand-deny",
        }
    }

    /// The role with this label value.
    pub fn parse(text: &str) -> Option<Self> {
        let all = [
            Self::AllowAll,
            Self::AllowEgress,
            Self::Server,
            Self::Additional,
            Self::Egress,
            Self::DefaultDeny,
            Self::DefaultDenyEgress,
            Self::OperandAllow,
            Self::OperandDeny,
        ];
        all.into_iter().find(|role| role.as_str() == text)
    }

    /// Opens every pod of the namespace.
    pub const fn opens(self) -> bool {
        matches!(self, Self::AllowAll | Self::AllowEgress)
    }
}

//! Why a step was not carried out.

use std::time::Duration;

use crate::runtime::client::is_timeout;

/// Why a step was not carried out, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The API server refused or could not be reached.
    #[error("{what}: {error}")]
    Request {
        /// What was attempted.
        what: String,
        /// The answer.
        error: Box<kube::Error>,
    },
    /// This process does not lead any more.
    #[error("leadership was lost before {0}")]
    NotLeading(String),
    /// A live read tells another story than the watches: the step is planned again.
    #[error("a live read differs from what the step was planned from")]
    Overtaken,
    /// An answer could not be understood.
    #[error("{what}: the answer cannot be read: {problem}")]
    Unreadable {
        /// What was attempted.
        what: String,
        /// What is wrong with the answer.
        problem: String,
    },
}

impl ApplyError {
    /// Names what was attempted.
    pub fn request(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |error| Self::Request {
            what,
            error: Box::new(error),
        }
    }

    fn status(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Request { error, .. } => match &**error {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            _ => None,
        }
    }

    /// The request may have been carried out although no answer came.
    pub fn is_uncertain(&self) -> bool {
        match self {
            Self::Request { error, .. } => match &**error {
                kube::Error::Api(status) => status.code == 504 || status.code == 500,
                error => {
                    is_timeout(error) || matches!(error, kube::Error::HyperError(_) | kube::Error::Service(_))
                }
            },
            Self::Unreadable { .. } => true,
            Self::NotLeading(_) | Self::Overtaken => false,
        }
    }

    /// Somebody else changed, created or deleted the object meanwhile: looking again is enough.
    pub fn is_race(&self) -> bool {
        matches!(self, Self::Overtaken | Self::NotLeading(_))
            || self.status().is_some_and(|s| s.code == 409 || s.code == 404)
            || self.is_terminating()
    }

    /// The namespace is being deleted, which is no failure of ours.
    pub fn is_terminating(&self) -> bool {
        self.status()
            .is_some_and(|s| s.code == 403 && s.message.contains("being terminated"))
    }

    /// How long the server asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = self.status()?.details.as_ref()?.retry_after_seconds;
        (seconds > 0).then(|| Duration::from_secs(seconds.into()))
    }
}

//! Errors as a user reads them: what failed, and what to do about it.

use std::fmt;
use std::io;

use tower::timeout::error::Elapsed;

/// There is no cluster to talk to.
#[derive(Debug)]
pub struct Unreachable(String);

impl Unreachable {
    /// Neither a kubeconfig nor a service account was found.
    pub fn nowhere(error: &dyn std::error::Error) -> Self {
        Self(format!(
            "no cluster to talk to: give --kubeconfig, set KUBECONFIG, or run in a pod with a service account ({error})"
        ))
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

/// What a 404 means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// The kind is served, the object does not exist.
    Object,
    /// The API server does not serve the kind.
    Kind,
}

/// What is absent, if that is what the error says. An unknown path is answered in plain text, an unknown
/// object with a Status.
pub fn absent(error: &kube::Error) -> Option<Absent> {
    match error {
        kube::Error::Api(status) if status.code == 404 && status.reason == "NotFound" => Some(Absent::Object),
        kube::Error::Api(status) if status.code == 404 => Some(Absent::Kind),
        _ => None,
    }
}

/// Whether the caller lacks a permission.
pub fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

/// Whether the object exists already.
pub fn is_already_exists(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_already_exists())
}

/// Whether nobody reads our output any more: no error of ours.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// The error and its causes in one line.
pub fn explain(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let known = cause.downcast_ref::<kube::Error>().map(api_message);
        let text = known.clone().unwrap_or_else(|| cause.to_string());
        // Many errors repeat their cause in their own text.
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        if known.is_some() {
            break;
        }
    }
    parts.join(": ")
}

/// What the API server, or the way to it, has to say.
pub fn api_message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if absent(error) == Some(Absent::Kind) => {
            format!("the API server does not serve this kind ({})", status.message)
        }
        kube::Error::Api(status) if status.code == 401 => {
            format!(
                "{}: log in again, or check the user of the kubeconfig's context",
                status.message
            )
        }
        kube::Error::Api(status) => status.message.clone(),
        kube::Error::Service(source) if source.is::<Elapsed>() => {
            "the API server did not answer in time: check that it is up, or raise --request-timeout"
                .to_owned()
        }
        kube::Error::Service(source) => {
            format!("cannot reach the API server: {}", innermost(source.as_ref()))
        }
        kube::Error::HyperError(source) => format!("cannot reach the API server: {}", innermost(source)),
        other => other.to_string(),
    }
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    fn api(code: u16, reason: &str, message: &str) -> kube::Error {
        kube::Error::Api(Status::failure(message, reason).with_code(code).boxed())
    }

    #[test]
    fn a_missing_kind_is_told_from_a_missing_object() {
        assert_eq!(absent(&api(404, "NotFound", "x not found")), Some(Absent::Object));
        let unserved = api(404, "Failed to parse error data", "404 page not found");
        assert_eq!(absent(&unserved), Some(Absent::Kind));
        assert_eq!(absent(&api(403, "Forbidden", "no")), None);
    }

    #[test]
    fn an_error_reads_as_one_line_without_debug_output() {
        let error = anyhow::Error::from(api(403, "Forbidden", "user x cannot patch y"))
            .context("cannot set the mode");
        assert_eq!(explain(&error), "cannot set the mode: user x cannot patch y");
    }
}

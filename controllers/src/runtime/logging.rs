//! Structured logs on standard error, with a level that can be changed while the process runs.

use clap::ValueEnum;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};

/// `--log-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object per line.
    Json,
    /// Lines for people.
    Text,
}

/// Why a log filter was refused.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// Not the syntax of a filter.
    #[error("not a log filter: {0}; expected for example info or info,bulkhead_controllers=debug")]
    Syntax(#[from] tracing_subscriber::filter::ParseError),
    /// A single word is either a level or, silently, the name of a module; the latter is hardly ever meant.
    #[error("{0:?} is not a level; use error, warn, info, debug, trace or off, or module=level")]
    NotALevel(String),
    /// The subscriber is gone.
    #[error("the log level can no longer be changed: {0}")]
    Gone(#[from] reload::Error),
}

/// Parses a filter strictly.
pub fn check_filter(text: &str) -> Result<EnvFilter, FilterError> {
    for directive in text
        .split(',')
        .map(str::trim)
        .filter(|directive| !directive.is_empty())
    {
        let names_target = directive.contains(['=', '[', ':']);
        if !names_target && directive.parse::<LevelFilter>().is_err() {
            return Err(FilterError::NotALevel(directive.to_owned()));
        }
    }
    Ok(EnvFilter::builder()
        .with_default_directive(LevelFilter::ERROR.into())
        .parse(text)?)
}

/// Reads and changes the log filter of the running process.
#[derive(Clone, Debug)]
pub struct LogControl {
    handle: reload::Handle<EnvFilter, Registry>,
}

impl LogControl {
    /// The filter in force.
    pub fn filter(&self) -> String {
        self.handle.with_current(ToString::to_string).unwrap_or_default()
    }

    /// Replaces the filter. A bad one changes nothing.
    pub fn set_filter(&self, text: &str) -> Result<(), FilterError> {
        self.handle.reload(check_filter(text)?)?;
        Ok(())
    }
}

/// Builds the subscriber without installing it, and the control over its filter.
pub fn subscriber<W>(
    filter: &str,
    format: Format,
    writer: W,
) -> Result<(impl Subscriber + Send + Sync + use<W>, LogControl), FilterError>
where
    W: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(check_filter(filter)?);
    let lines = fmt::layer().with_writer(writer);
    let lines = match format {
        Format::Json => lines.json().flatten_event(true).boxed(),
        Format::Text => lines.with_ansi(false).boxed(),
    };
    Ok((
        tracing_subscriber::registry().with(filter).with(lines),
        LogControl { handle },
    ))
}

/// Why logging could not be started.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The filter is bad.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Logging was started before.
    #[error(transparent)]
    Repeated(#[from] TryInitError),
}

/// Installs logging for the process.
pub fn init(filter: &str, format: Format) -> Result<LogControl, InitError> {
    let (subscriber, control) = subscriber(filter, format, std::io::stderr)?;
    subscriber.try_init()?;
    Ok(control)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Buffer {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_filter_changes_while_running_and_a_bad_one_changes_nothing() {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let (subscriber, control) = subscriber("info", Format::Json, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!("hidden");
            assert!(control.set_filter("chatty").is_err());
            assert!(control.set_filter("a=b=c").is_err());
            assert_eq!(control.filter(), "info");
            control.set_filter("debug").unwrap();
            tracing::debug!(namespace = "openshift-dns", "shown");
        });
        let text = buffer.text();
        assert!(!text.contains("hidden"), "{text}");
        let line: serde_json::Value = serde_json::from_str(text.trim()).expect("one JSON line");
        assert_eq!(line["message"], "shown");
        assert_eq!(line["namespace"], "openshift-dns");
    }
}

//! The connection to the cluster, and the two streams.

use std::io::{BufWriter, IsTerminal as _, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use http::HeaderValue;
use http::header::USER_AGENT;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::timeout::TimeoutLayer;

use crate::args::{Color, Globals};
use crate::errors::Unreachable;

/// What this program calls itself towards the API server.
const AGENT: &str = concat!("kubectl-bulkhead/", env!("CARGO_PKG_VERSION"));

/// One run of the program.
pub struct Session {
    /// Options of every verb.
    pub globals: Globals,
    /// What the user types to run it, for hints: `kubectl bulkhead`.
    pub program: String,
    colored: bool,
}

impl Session {
    /// A run with these options.
    pub fn new(globals: Globals, program: String) -> Self {
        let colored = match globals.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && std::io::stdout().is_terminal()
            }
        };
        Self {
            globals,
            program,
            colored,
        }
    }

    /// The same run against another context of the kubeconfig.
    #[must_use]
    pub fn in_context(&self, context: &str) -> Self {
        let globals = Globals {
            context: Some(context.to_owned()),
            ..self.globals.clone()
        };
        Self::new(globals, self.program.clone())
    }

    /// Whether tables are coloured.
    pub fn colored(&self) -> bool {
        self.colored
    }

    /// A client for the chosen cluster. Sends nothing yet.
    pub async fn client(&self) -> Result<Client> {
        // The only failure is that a provider is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut config = self.config().await?;
        config.headers.push((USER_AGENT, HeaderValue::from_static(AGENT)));
        if let Some(user) = &self.globals.impersonate {
            config.auth_info.impersonate = Some(user.clone());
            config.auth_info.impersonate_groups = Some(self.globals.impersonate_groups.clone());
        }
        let url = config.cluster_url.to_string();
        let builder =
            ClientBuilder::try_from(config).with_context(|| format!("cannot use the API server {url}"))?;
        let limit = self.globals.request_timeout;
        if limit.is_zero() {
            return Ok(builder.build());
        }
        Ok(builder.with_layer(&TimeoutLayer::new(limit)).build())
    }

    async fn config(&self) -> Result<Config> {
        let options = KubeConfigOptions {
            context: self.globals.context.clone(),
            ..KubeConfigOptions::default()
        };
        if let Some(path) = &self.globals.kubeconfig {
            let kubeconfig = Kubeconfig::read_from(path);
            let config = match kubeconfig {
                Ok(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options).await,
                Err(error) => Err(error),
            };
            return config.with_context(|| format!("cannot use kubeconfig {}", path.display()));
        }
        if self.globals.context.is_some() {
            return Config::from_kubeconfig(&options)
                .await
                .context("cannot use the kubeconfig");
        }
        Config::infer()
            .await
            .map_err(|error| Unreachable::nowhere(&error).into())
    }

    /// Writes a result to standard output.
    pub fn print(&self, text: &str) -> Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        if !text.is_empty() && !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        Ok(out.flush()?)
    }

    /// Writes a result to standard output while it is made: some are too long to be kept.
    pub fn write(&self, result: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
        let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
        result(&mut out)?;
        Ok(out.flush()?)
    }

    /// Tells the user something that is not the result: on standard error, so that pipes stay clean.
    pub fn note(&self, text: &str) {
        eprintln!("{text}");
    }

    /// A counter for something that takes long, shown while standard error is a terminal.
    pub fn progress(&self, what: &'static str, of: usize) -> Progress {
        Progress {
            what,
            of,
            done: AtomicUsize::new(0),
            shown: std::io::stderr().is_terminal(),
        }
    }

    /// Warns the user.
    pub fn warn(&self, text: &str) {
        eprintln!("warning: {text}");
    }
}

/// Something that takes long. What it shows is gone when it ends.
pub struct Progress {
    what: &'static str,
    of: usize,
    done: AtomicUsize,
    shown: bool,
}

impl Progress {
    /// One more is done.
    pub fn step(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if self.shown {
            eprint!("\r\x1b[K{} {done}/{}", self.what, self.of);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}

//! Taps etcd's own watch, so that nothing between the store and the checker can hide or reorder a revision.
//!
//! The JSON gateway that etcd serves on its client port is enough: one stream over all keys, one line per
//! response. The stream is read by a thread of its own that does nothing else, so that the time of arrival
//! is close to the time of storing.

use std::io::{BufRead as _, BufReader, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::checker::history::{Decoder, Deletions, History, Stored, id_of};

/// Keys that may matter; the checker sorts out the rest.
const PREFIXES: [&str; 6] = [
    "/registry/namespaces/",
    "/registry/pods/",
    "/registry/networkpolicies/",
    "/registry/network.operator.openshift.io/",
    "/registry/operator.openshift.io/",
    "/registry/apiextensions.k8s.io/customresourcedefinitions/",
];

/// How long the stream may lag behind the store when a history is asked for.
const CATCH_UP: Duration = Duration::from_secs(20);

/// Records every stored revision from its start on.
pub struct Recorder {
    endpoint: String,
    base: Vec<Stored>,
    tape: Arc<Tape>,
}

#[derive(Default)]
struct Tape {
    recorded: Mutex<Recorded>,
    stopped: AtomicBool,
}

#[derive(Default)]
struct Recorded {
    events: Vec<Stored>,
    revision: u64,
    failure: Option<String>,
}

impl Recorder {
    /// Reads the present state and follows the store from there.
    pub fn start(endpoint: &str) -> anyhow::Result<Self> {
        let began = Instant::now();
        let revision = current_revision(endpoint)?;
        let base = read_base(endpoint, revision)?;
        let tape = Arc::new(Tape::default());
        let stream = open_watch(endpoint, revision + 1)?;
        let writer = Arc::clone(&tape);
        std::thread::Builder::new()
            .name("etcd-tap".to_owned())
            .spawn(move || {
                let outcome = follow(stream, began, &writer);
                let mut recorded = lock(&writer.recorded);
                recorded.failure =
                    Some(outcome.map_or_else(|e| format!("{e:#}"), |()| "the stream ended".to_owned()));
            })?;
        Ok(Self {
            endpoint: endpoint.to_owned(),
            base,
            tape,
        })
    }

    /// Everything that was stored until now, in order.
    pub fn history(&self, deletions: &dyn Deletions) -> anyhow::Result<History> {
        self.catch_up()?;
        let mut decoder = Decoder::default();
        let mut read = |all: &[Stored]| -> anyhow::Result<Vec<_>> {
            let events = all.iter().map(|stored| decoder.event(stored.clone(), deletions));
            let events: Result<Vec<_>, String> = events.collect();
            Ok(events
                .map_err(anyhow::Error::msg)?
                .into_iter()
                .flatten()
                .collect())
        };
        let base = read(&self.base)?;
        let events = read(&lock(&self.tape.recorded).events)?;
        Ok(History { base, events })
    }

    fn catch_up(&self) -> anyhow::Result<()> {
        let wanted = current_revision(&self.endpoint)?;
        let deadline = Instant::now() + CATCH_UP;
        loop {
            {
                let recorded = lock(&self.tape.recorded);
                if recorded.revision >= wanted || (wanted <= 1 && recorded.events.is_empty()) {
                    return Ok(());
                }
                if let Some(failure) = &recorded.failure {
                    bail!(
                        "the recording of etcd broke off at revision {}: {failure}",
                        recorded.revision
                    );
                }
                if Instant::now() > deadline {
                    bail!(
                        "the recording is at revision {}, etcd at {wanted}",
                        recorded.revision
                    );
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.tape.stopped.store(true, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Deserialize)]
struct RangeAnswer {
    header: Header,
    #[serde(default)]
    kvs: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct Header {
    #[serde(deserialize_with = "number")]
    revision: u64,
}

#[derive(Deserialize)]
struct KeyValue {
    key: String,
    #[serde(default)]
    value: String,
    #[serde(default, deserialize_with = "number")]
    mod_revision: u64,
}

#[derive(Deserialize)]
struct WatchLine {
    result: Option<WatchAnswer>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct WatchAnswer {
    header: Header,
    #[serde(default)]
    canceled: bool,
    #[serde(default)]
    events: Vec<WatchEvent>,
}

#[derive(Deserialize)]
struct WatchEvent {
    #[serde(default)]
    r#type: String,
    kv: KeyValue,
}

/// The gateway writes 64-bit numbers as text.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn post(endpoint: &str, path: &str, body: &Value) -> anyhow::Result<impl Read + Send + use<>> {
    let url = format!("{endpoint}{path}");
    let answer = ureq::post(&url)
        .send(body.to_string())
        .with_context(|| format!("POST {url}"))?;
    Ok(answer.into_body().into_reader())
}

fn range(endpoint: &str, body: &Value) -> anyhow::Result<RangeAnswer> {
    let reader = post(endpoint, "/v3/kv/range", body)?;
    Ok(serde_json::from_reader(BufReader::new(reader))?)
}

fn current_revision(endpoint: &str) -> anyhow::Result<u64> {
    let any_key = json!({"key": STANDARD.encode("/"), "count_only": true});
    Ok(range(endpoint, &any_key)?.header.revision)
}

fn read_base(endpoint: &str, revision: u64) -> anyhow::Result<Vec<Stored>> {
    let mut base = Vec::new();
    for prefix in PREFIXES {
        // The first key behind all that begin with the prefix: "0" follows "/".
        let end = format!("{}0", prefix.trim_end_matches('/'));
        let body = json!({
            "key": STANDARD.encode(prefix),
            "range_end": STANDARD.encode(end),
            "revision": revision.to_string(),
        });
        for kv in range(endpoint, &body)?.kvs {
            base.extend(stored(kv, false, Duration::ZERO, SystemTime::now())?);
        }
    }
    Ok(base)
}

fn open_watch(endpoint: &str, from: u64) -> anyhow::Result<impl Read + Send + use<>> {
    // A zero byte as key and end stands for all keys.
    let all = STANDARD.encode([0_u8]);
    let request =
        json!({"create_request": {"key": all, "range_end": all, "start_revision": from.to_string()}});
    post(endpoint, "/v3/watch", &request)
}

fn follow(stream: impl Read, began: Instant, tape: &Tape) -> anyhow::Result<()> {
    let mut lines = BufReader::with_capacity(1 << 20, stream);
    let mut line = Vec::new();
    while !tape.stopped.load(Ordering::Relaxed) {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let (at, wall) = (began.elapsed(), SystemTime::now());
        let parsed: WatchLine = serde_json::from_slice(&line)?;
        let Some(answer) = parsed.result else {
            bail!("etcd answered {}", parsed.error.unwrap_or_default());
        };
        anyhow::ensure!(!answer.canceled, "etcd ended the watch");
        let mut recorded = lock(&tape.recorded);
        for event in answer.events {
            recorded.revision = event.kv.mod_revision;
            let gone = event.r#type == "DELETE";
            recorded.events.extend(stored(event.kv, gone, at, wall)?);
        }
        if recorded.events.is_empty() {
            recorded.revision = recorded.revision.max(answer.header.revision);
        }
    }
    Ok(())
}

fn stored(kv: KeyValue, gone: bool, at: Duration, wall: SystemTime) -> anyhow::Result<Option<Stored>> {
    let key = String::from_utf8_lossy(&STANDARD.decode(&kv.key)?).into_owned();
    if id_of(&key).is_none() {
        return Ok(None);
    }
    let value = if gone {
        None
    } else {
        let bytes = STANDARD.decode(&kv.value)?;
        Some(serde_json::from_slice(&bytes).with_context(|| format!("{key} is not stored as JSON"))?)
    };
    Ok(Some(Stored {
        revision: kv.mod_revision,
        at,
        wall,
        key,
        value,
    }))
}
